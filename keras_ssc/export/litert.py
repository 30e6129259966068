"""format="litert": a .tflite file for LiteRT (TensorFlow Lite).

The kernels of SSC layers are stored as LiteRT's sparse tensors, which its operation DENSIFY expands
once, when the interpreter makes its tensors.
"""

import os
import re
import tempfile

from keras_ssc.export.lowering import lower
from keras_ssc.export.pure_model import PureModel, by_name
from keras_ssc.export.tf_saved_model import save

SUFFIX = ".tflite"
PACKAGES = {"tensorflow": None, "ai_edge_litert": "litert"}
NARROWEST_GROUP = 4


def write(model, path):
    """Write the inference model of `model` to the file `path`."""
    import tensorflow as tf

    lowered, _ = lower(model, NARROWEST_GROUP)
    with tempfile.TemporaryDirectory() as folder:
        save(PureModel(lowered, {}), folder)  # nothing packed: the converter finds the zeros itself
        converter = tf.lite.TFLiteConverter.from_saved_model(
            folder, signature_keys=["serving_default"]
        )
        converter.optimizations = [tf.lite.Optimize.EXPERIMENTAL_SPARSITY]
        try:
            content = converter.convert()
        except Exception as error:
            unknown = dict.fromkeys(re.findall(r"'tf\.(\w+)' op is n", str(error)))
            if not unknown:
                raise
            raise ValueError(
                f"LiteRT has no operation for TensorFlow's {', '.join(unknown)}"
            ) from error
    path.write_bytes(content)


def load(path):
    """Return the file as a function of LiteRT: list of arrays in, list of arrays out."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path), num_threads=os.cpu_count())
    serve = interpreter.get_signature_runner("serving_default")

    def run(inputs):
        outputs = serve(**by_name("input", inputs))
        return [outputs[name] for name in by_name("output", outputs)]

    return run
