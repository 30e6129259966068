"""format="litert": a .tflite file for LiteRT (TensorFlow Lite).

The kernels of SSC layers are stored as LiteRT's sparse tensors, which its operation DENSIFY expands
once, when the interpreter makes its tensors.
"""

import os
import re
import tempfile

from keras_ssc.export.litert_sparsity import compact
from keras_ssc.export.lowering import lower
from keras_ssc.export.pure_model import PureModel, by_name
from keras_ssc.export.tf_saved_model import save

SUFFIX = ".tflite"
PACKAGES = {"tensorflow": None, "ai_edge_litert": "litert"}
QUANTIZE = ("float16", "dynamic", "int8")
NARROWEST_GROUP = 4
# A layer in two convolutions has twice the scales, and is rounded twice.
NARROWEST_INT8_GROUP = 32


def write(model, path, quantize=None, calibration=None):
    """Write the inference model of `model` to the file `path`.

    Args:
        model: functional or Sequential model.
        path: pathlib.Path.
        quantize: None, "float16", "dynamic" or "int8".
        calibration: list of arrays, one for each input, for "int8".
    """
    import tensorflow as tf

    lowered, _ = lower(model, NARROWEST_INT8_GROUP if quantize == "int8" else NARROWEST_GROUP)
    with tempfile.TemporaryDirectory() as folder:
        save(PureModel(lowered, {}), folder)  # nothing packed: `compact` finds the zeros itself
        converter = tf.lite.TFLiteConverter.from_saved_model(
            folder, signature_keys=["serving_default"]
        )
        if quantize:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if quantize == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if quantize == "int8":
            converter.representative_dataset = lambda: _one_by_one(calibration)
        try:
            content = converter.convert()
        except Exception as error:
            unknown = dict.fromkeys(re.findall(r"'tf\.(\w+)' op is n", str(error)))
            if not unknown:
                raise
            raise ValueError(
                f"LiteRT has no operation for TensorFlow's {', '.join(unknown)}"
            ) from error
    path.write_bytes(compact(content))


def _one_by_one(arrays):
    for index in range(len(arrays[0])):
        yield by_name("input", [array[index : index + 1] for array in arrays])


def load(path):
    """Return the file as a function of LiteRT: list of arrays in, list of arrays out."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path), num_threads=os.cpu_count())
    serve = interpreter.get_signature_runner("serving_default")

    def run(inputs):
        outputs = serve(**by_name("input", inputs))
        return [outputs[name] for name in by_name("output", outputs)]

    return run
