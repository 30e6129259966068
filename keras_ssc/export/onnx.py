"""format="onnx": a .onnx file.

The arrays enter the conversion as inputs, so that the converter can't compute anything from them,
and become initializers of the graph afterwards. The runtime unpacks the kernels when it loads the
file.
"""

import tempfile
from pathlib import Path

import numpy as np

from keras_ssc.export.lowering import lower
from keras_ssc.export.onnx_quantization import quantize_file
from keras_ssc.export.pure_model import PureModel, by_name

SUFFIX = ".onnx"
PACKAGES = {"tensorflow": None, "onnx": "onnx", "onnxruntime": "onnx", "tf2onnx": "onnx"}
QUANTIZE = ("int8",)
NARROWEST_GROUP = 8
NARROWEST_INT8_GROUP = 32  # as for LiteRT
OPSET = 18


def _erfc(graph, node, *_):
    """erfc(x) = 1 - erf(x)."""
    _difference(graph, node, [_one(graph, node), graph.make_node("Erf", node.input).output[0]])


def _expm1(graph, node, *_):
    """expm1(x) = exp(x) - 1."""
    _difference(graph, node, [graph.make_node("Exp", node.input).output[0], _one(graph, node)])


def _one(graph, node):
    from tf2onnx.utils import make_name, map_onnx_to_numpy_type

    dtype = map_onnx_to_numpy_type(graph.get_dtype(node.input[0]))
    return graph.make_const(make_name("one"), np.ones((), dtype)).output[0]


def _difference(graph, node, inputs):
    """Put a subtraction in the place of a node."""
    outputs, (shape,), (dtype,) = node.output, node.output_shapes, node.output_dtypes
    graph.remove_node(node.name)
    graph.make_node("Sub", inputs, name=node.name, outputs=outputs, shapes=[shape], dtypes=[dtype])


# Operations of TensorFlow that neither ONNX nor tf2onnx has: gelu and celu need them.
ADDED = {"Erfc": (_erfc, []), "Expm1": (_expm1, [])}


def write(model, path, quantize=None, calibration=None):
    """Write the inference model of `model` to the file `path`.

    Args:
        model: functional or Sequential model.
        path: pathlib.Path.
        quantize: None or "int8".
        calibration: list of arrays, one for each input, for "int8".
    """
    if not quantize:
        write_float(PureModel(*lower(model, NARROWEST_GROUP)), path)
        return
    lowered, _ = lower(model, NARROWEST_INT8_GROUP)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "float.onnx"
        write_float(PureModel(lowered, {}), source, constant=True)
        quantize_file(source, path, calibration)


def write_float(pure, path, constant=False):
    """Write a `PureModel` to the file `path`.

    Args:
        pure: `PureModel`.
        path: pathlib.Path.
        constant: bool. True: kernels are expanded and laid out in the file, as quantizers want
            them; False: the runtime does it.
    """
    import onnx
    import tensorflow as tf
    import tf2onnx

    inputs, arrays = pure.signature(), {} if constant else by_name("array", pure.arrays)
    specs = [tf.TensorSpec(array.shape, array.dtype, name) for name, array in arrays.items()]

    @tf.function(input_signature=[*inputs, *specs])
    def serve(*tensors):
        given = [tf.constant(one) for one in pure.arrays] if constant else tensors[len(inputs) :]
        return by_name("output", pure(tensors[: len(inputs)], given))

    file, _ = tf2onnx.convert.from_function(
        serve, [*inputs, *specs], opset=OPSET, custom_op_handlers=dict(ADDED)
    )
    arrays |= _captured(serve.get_concrete_function())
    _check_known(file, onnx.defs.has)
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


def _check_known(file, known):
    """Refuse a graph with operations that ONNX does not have: tf2onnx leaves them as they were."""
    unknown = {node.op_type: node.name for node in file.graph.node if not known(node.op_type)}
    if unknown:
        found = ", ".join(f"{kind} (at {name!r})" for kind, name in unknown.items())
        raise ValueError(f"ONNX has no operation for TensorFlow's {found}")


def load(path):
    """Return the file as a function of ONNX Runtime: list of arrays in, list of arrays out."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = list(by_name("output", session.get_outputs()))
    return lambda inputs: session.run(names, by_name("input", inputs))
