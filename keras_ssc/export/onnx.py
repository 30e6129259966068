"""format="onnx": a .onnx file.

The arrays enter the conversion as inputs, so that no converter computes anything from them, and
become initializers of the graph afterwards. The runtime unpacks the kernels when it loads the file.
"""

from keras_ssc.export.graph import PureModel
from keras_ssc.export.graph_twin import GraphTwinBuilder

SUFFIX = ".onnx"
PACKAGES = {"onnx": "onnx", "onnxruntime": "onnx", "tf2onnx": "onnx"}
NARROWEST_GROUP = 8
OPSET = 18


def write(model, path):
    """Write the inference twin of `model` to the file `path`."""
    import onnx
    import tensorflow as tf
    import tf2onnx

    builder = GraphTwinBuilder(NARROWEST_GROUP)
    twin = builder.build(model)
    pure = PureModel(twin, builder.packed)
    inputs = pure.signature()
    names = {f"array_{i}": array for i, array in enumerate(pure.arrays)}
    specs = [tf.TensorSpec(array.shape, array.dtype, name) for name, array in names.items()]

    @tf.function(input_signature=[*inputs, *specs])
    def serve(*tensors):
        outputs = pure(tensors[: len(inputs)], tensors[len(inputs) :])
        return {f"output_{i}": output for i, output in enumerate(outputs)}

    file, _ = tf2onnx.convert.from_function(serve, [*inputs, *specs], opset=OPSET)
    for entry in list(file.graph.input):
        if entry.name in names:
            file.graph.initializer.append(onnx.numpy_helper.from_array(names[entry.name], entry.name))
            file.graph.input.remove(entry)
    onnx.checker.check_model(file, full_check=True)
    onnx.save(file, str(path))


def run(path, inputs):
    """Return the outputs of the file, by ONNX Runtime: list of arrays."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_inputs()]
    return session.run(None, dict(zip(names, inputs, strict=True)))
