"""format="openvino": a .xml file for OpenVINO, and a .bin file with its weights beside it.

It is the ONNX graph, read and written by OpenVINO without its conversion, which would expand the
kernels.
"""

import tempfile
from pathlib import Path

from keras_ssc.export import onnx
from keras_ssc.export.lowering import lower
from keras_ssc.export.openvino_quantization import quantized
from keras_ssc.export.pure_model import PureModel, by_name

SUFFIX = ".xml"
PACKAGES = {"tensorflow": None, "openvino": "openvino", "onnx": "openvino", "tf2onnx": "openvino"}
QUANTIZE = ("int8",)
INT8_PACKAGES = {"nncf": "nncf"}
NARROWEST_GROUP = 4
NARROWEST_INT8_GROUP = 32  # as for LiteRT


def write(model, path, quantize=None, calibration=None):
    """Write the inference model of `model` to `path` and to the .bin file beside it.

    Args:
        model: functional or Sequential model.
        path: pathlib.Path.
        quantize: None or "int8".
        calibration: list of arrays, one for each input, for "int8".
    """
    import openvino

    lowered, packed = lower(model, NARROWEST_INT8_GROUP if quantize else NARROWEST_GROUP)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        onnx.write_float(PureModel(lowered, {} if quantize else packed), file, bool(quantize))
        graph = openvino.Core().read_model(file)
        if quantize:
            graph = quantized(graph, calibration)
        openvino.serialize(graph, str(path))


def load(path):
    """Return the file as a function of OpenVINO: list of arrays in, list of arrays out."""
    import openvino

    compiled = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def run(inputs):
        outputs = compiled(by_name("input", inputs))
        return [outputs[name] for name in by_name("output", compiled.outputs)]

    return run
