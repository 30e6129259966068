"""format="openvino": a .xml file for OpenVINO, and a .bin file with its weights beside it.

It is the ONNX graph, read and written by OpenVINO without its conversion, which would expand the
kernels.
"""

import tempfile
from pathlib import Path

from keras_ssc.export import onnx
from keras_ssc.export.pure_model import by_name

SUFFIX = ".xml"
PACKAGES = {"tensorflow": None, "openvino": "openvino", "onnx": "openvino", "tf2onnx": "openvino"}
NARROWEST_GROUP = 4


def write(model, path):
    """Write the inference model of `model` to `path` and to the .bin file beside it."""
    import openvino

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        onnx.write(model, file, NARROWEST_GROUP)
        openvino.serialize(openvino.Core().read_model(file), str(path))


def load(path):
    """Return the file as a function of OpenVINO: list of arrays in, list of arrays out."""
    import openvino

    compiled = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def run(inputs):
        outputs = compiled(by_name("input", inputs))
        return [outputs[name] for name in by_name("output", compiled.outputs)]

    return run
