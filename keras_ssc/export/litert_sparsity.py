"""The mostly zero kernels of a .tflite file in LiteRT's own sparse format.

The operation DENSIFY expands them once, when the interpreter makes its tensors.
"""

import copy

import numpy as np

from keras_ssc.export.sparse_layout import sparse_layout, stored, width

ITEM_TYPES = {"FLOAT32": "float32", "FLOAT16": "float16", "INT8": "int8"}


def compact(content):
    """Return the .tflite file `content` (bytes) with mostly zero kernels stored sparsely.

    Names of inner tensors are left out too: no runtime reads them.
    """
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    for graph in model.subgraphs:
        _compact_graph(model, graph, schema)
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def _compact_graph(model, graph, schema):
    dtypes = {getattr(schema.TensorType, name): dtype for name, dtype in ITEM_TYPES.items()}
    ends = {*graph.inputs, *graph.outputs}
    for index in range(len(graph.tensors)):
        tensor = graph.tensors[index]
        if index not in ends:
            tensor.name = None
        data = model.buffers[tensor.buffer].data
        if data is None or tensor.type not in dtypes or tensor.sparsity is not None:
            continue
        array = np.frombuffer(bytes(data), dtypes[tensor.type]).reshape(tensor.shape)
        if layout := sparse_layout(array):
            _store(model, graph, index, array, layout, schema)


def _store(model, graph, index, array, layout, schema):
    """Put the sparse form of a tensor in its place, and DENSIFY between it and its readers."""
    values, live = stored(array, layout)
    sparse = copy.copy(graph.tensors[index])
    shared = [one for one in graph.tensors if one.buffer == sparse.buffer]
    if len(shared) == 1:
        model.buffers[sparse.buffer].data = None
    model.buffers.append(schema.BufferT(data=np.frombuffer(values.tobytes(), "uint8")))
    sparse.buffer = len(model.buffers) - 1
    sparse.sparsity = _parameters(array.shape, layout, live, schema)
    graph.tensors.append(sparse)
    graph.tensors[index].buffer = 0  # the empty one: DENSIFY computes it
    code = schema.BuiltinOperator.DENSIFY
    codes = [one.builtinCode for one in model.operatorCodes]
    if code not in codes:
        deprecated = min(code, 127)  # where older readers look
        model.operatorCodes.append(schema.OperatorCodeT(deprecated, None, 1, code))
        codes.append(code)
    operator = schema.OperatorT(
        opcodeIndex=codes.index(code),
        inputs=[len(graph.tensors) - 1],
        outputs=[index],
        builtinOptionsType=schema.BuiltinOptions.DensifyOptions,
        builtinOptions=schema.DensifyOptionsT(),
    )
    graph.operators.insert(0, operator)


def _parameters(shape, layout, live, schema):
    """The `SparsityParametersT` of an array: one entry for each dimension."""
    starts = np.concatenate([[0], np.cumsum(live.sum(axis=1))])
    places = np.nonzero(live)[1]

    def vector(values):
        kind = {1: "Uint8Vector", 2: "Uint16Vector", 4: "Int32Vector"}[width(values.max(initial=0))]
        values = values.astype(kind.removesuffix("Vector").lower())
        return getattr(schema.SparseIndexVector, kind), getattr(schema, f"{kind}T")(values)

    kinds = schema.DimensionType
    levels = []
    for axis in (*layout.before, layout.listed, *layout.after):
        if axis == layout.listed:
            level = schema.DimensionMetadataT(kinds.SPARSE_CSR, 0, *vector(starts), *vector(places))
        else:
            side = shape[axis] // (layout.block if axis == 0 else 1)
            level = schema.DimensionMetadataT(kinds.DENSE, side)
        levels.append(level)
    order = [*layout.before, layout.listed, *layout.after]
    blocks = None
    if layout.block > 1:
        levels.append(schema.DimensionMetadataT(kinds.DENSE, layout.block))
        order, blocks = [*order, len(shape)], [0]
    return schema.SparsityParametersT(order, blocks, levels)
