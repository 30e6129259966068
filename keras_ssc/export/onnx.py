"""format="onnx": a .onnx file.

The arrays enter the conversion as inputs, so that the converter can't compute anything from them,
and become initializers of the graph afterwards. The runtime unpacks the kernels when it loads the
file.
"""

from keras_ssc.export.graph import PureModel, by_name
from keras_ssc.export.graph_twin import graph_twin

SUFFIX = ".onnx"
PACKAGES = {"tensorflow": None, "onnx": "onnx", "onnxruntime": "onnx", "tf2onnx": "onnx"}
NARROWEST_GROUP = 8
OPSET = 18


def write(model, path, narrowest_group=NARROWEST_GROUP):
    """Write the inference twin of `model` to the file `path`."""
    import onnx
    import tensorflow as tf
    import tf2onnx

    pure = PureModel(*graph_twin(model, narrowest_group))
    inputs, arrays = pure.signature(), by_name("array", pure.arrays)
    specs = [tf.TensorSpec(array.shape, array.dtype, name) for name, array in arrays.items()]

    @tf.function(input_signature=[*inputs, *specs])
    def serve(*tensors):
        return by_name("output", pure(tensors[: len(inputs)], tensors[len(inputs) :]))

    file, _ = tf2onnx.convert.from_function(serve, [*inputs, *specs], opset=OPSET)
    arrays |= _captured(serve.get_concrete_function())
    for entry in list(file.graph.input):
        if entry.name in arrays:
            array = onnx.numpy_helper.from_array(arrays[entry.name], entry.name)
            file.graph.initializer.append(array)
            file.graph.input.remove(entry)
    onnx.checker.check_model(file, full_check=True)
    onnx.save(file, str(path))


def _captured(function):
    """The arrays that a layer computes with beside its weights, such as Normalization's mean."""
    tensors = function.captured_inputs
    entries = function.inputs[len(function.inputs) - len(tensors) :]
    return {
        entry.name: tensor.numpy()
        for entry, tensor in zip(entries, tensors, strict=True)
        if hasattr(tensor, "numpy")
    }


def load(path):
    """Return the file as a function of ONNX Runtime: list of arrays in, list of arrays out."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = list(by_name("output", session.get_outputs()))
    return lambda inputs: session.run(names, by_name("input", inputs))
