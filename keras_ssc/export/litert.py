"""format="litert": a .tflite file for LiteRT (TensorFlow Lite).

The kernels of SSC layers are stored as LiteRT's sparse tensors, which its operation DENSIFY expands
once, when the interpreter makes its tensors.
"""

import tempfile

from keras_ssc.export.graph import PureModel
from keras_ssc.export.graph_twin import GraphTwinBuilder
from keras_ssc.export.tf_saved_model import save

SUFFIX = ".tflite"
PACKAGES = {"ai_edge_litert": "litert"}
NARROWEST_GROUP = 4


def write(model, path):
    """Write the inference twin of `model` to the file `path`."""
    import tensorflow as tf

    twin = GraphTwinBuilder(NARROWEST_GROUP).build(model)
    with tempfile.TemporaryDirectory() as folder:
        save(PureModel(twin, {}), folder)  # the converter packs the kernels by itself
        converter = tf.lite.TFLiteConverter.from_saved_model(
            folder, signature_keys=["serving_default"]
        )
        converter.optimizations = [tf.lite.Optimize.EXPERIMENTAL_SPARSITY]
        content = converter.convert()
    path.write_bytes(content)


def run(path, inputs):
    """Return the outputs of the file, by LiteRT: list of arrays."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path))
    runner = interpreter.get_signature_runner("serving_default")
    names = [detail["name"] for detail in runner.get_input_details().values()]
    print(names)
    outputs = runner(**dict(zip(runner.get_input_details(), inputs, strict=True)))
    return [outputs[f"output_{i}"] for i in range(len(outputs))]
