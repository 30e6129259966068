"""An ONNX file in 8 bits: quantized by ONNX Runtime, its mostly zero kernels stored sparsely.

Every kernel keeps its own scale for each filter. The nonzero rows of a sparse kernel and their
places become initializers, from which the runtime makes the kernel when it loads the file.
"""

import numpy as np

from keras_ssc.export.pure_model import by_name
from keras_ssc.export.sparse_layout import sparse_layout, stored


def quantize_file(source, path, calibration):
    """Quantize the float file `source` to 8 bits, and write it to `path`.

    Args:
        source, path: pathlib.Path.
        calibration: list of arrays, one for each input.
    """
    import onnx
    from onnxruntime import quantization

    class Reader(quantization.CalibrationDataReader):
        def __init__(self):
            self.images = (
                by_name("input", [array[index : index + 1] for array in calibration])
                for index in range(len(calibration[0]))
            )

        def get_next(self):
            return next(self.images, None)

    quantization.quantize_static(
        str(source),
        str(path),
        Reader(),
        quant_format=quantization.QuantFormat.QDQ,
        per_channel=True,
        activation_type=quantization.QuantType.QInt8,
        weight_type=quantization.QuantType.QInt8,
    )
    file = onnx.load(path)
    _store_sparsely(file.graph, onnx)
    _shorten_names(file.graph)
    onnx.checker.check_model(file, full_check=True)
    onnx.save(file, str(path))


def _store_sparsely(graph, onnx):
    """Put nodes that expand a mostly zero kernel in the place of its initializer."""
    nodes = []
    for initializer in list(graph.initializer):
        if initializer.data_type != onnx.TensorProto.INT8:
            continue
        array = onnx.numpy_helper.to_array(initializer)
        if layout := sparse_layout(array):
            graph.initializer.remove(initializer)
            nodes += _expansion(graph, initializer.name, array, layout, onnx)
    for node in reversed(nodes):
        graph.node.insert(0, node)


def _expansion(graph, name, array, layout, onnx):
    """The nodes that compute `array` from its nonzero rows; adds their initializers."""

    def constant(what, value):
        graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(value), f"{name}_{what}"))
        return f"{name}_{what}"

    def node(kind, inputs, output, **attributes):
        return onnx.helper.make_node(kind, inputs, [output], **attributes)

    values, live = stored(array, layout)
    sizes = list(array.shape)
    sizes[0] //= layout.block
    order = [*layout.before, layout.listed, *layout.after]
    places = np.flatnonzero(live)[:, None]
    places = places.astype("uint16" if live.size <= 2**16 else "int32")
    back = np.argsort(order)  # the block is the last axis, and belongs behind the first
    zero = onnx.numpy_helper.from_array(np.zeros(1, array.dtype))
    return [
        node("Cast", [constant("places", places)], f"{name}_indices", to=onnx.TensorProto.INT64),
        node(
            "ConstantOfShape",
            [constant("rows", np.array([live.size, values.shape[1]]))],
            f"{name}_zeros",
            value=zero,
        ),
        node(
            "ScatterND",
            [f"{name}_zeros", f"{name}_indices", constant("values", values)],
            f"{name}_filled",
        ),
        node(
            "Reshape",
            [
                f"{name}_filled",
                constant("sizes", np.array([*(sizes[axis] for axis in order), layout.block])),
            ],
            f"{name}_blocks",
        ),
        node(
            "Transpose",
            [f"{name}_blocks"],
            f"{name}_ordered",
            perm=[int(back[0]), array.ndim, *(int(axis) for axis in back[1:])],
        ),
        node("Reshape", [f"{name}_ordered", constant("shape", np.array(array.shape))], name),
    ]


def _shorten_names(graph):
    """Number all inner tensors: the converter's names weigh as much as small kernels."""
    if any(attribute.g.node for node in graph.node for attribute in node.attribute):
        return  # inner graphs read tensors of the outer one by name
    ends = {entry.name for entry in (*graph.input, *graph.output)} | {""}
    short = {name: name for name in ends}

    def renamed(names):
        return [short.setdefault(name, f"t{len(short)}") for name in names]

    for node in graph.node:
        inputs, outputs = renamed(node.input), renamed(node.output)
        del node.input[:], node.output[:]
        node.input.extend(inputs)
        node.output.extend(outputs)
        node.name = node.doc_string = ""
    for initializer in graph.initializer:
        (initializer.name,) = renamed([initializer.name])
    del graph.value_info[:]
