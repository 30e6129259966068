"""An OpenVINO model in 8 bits: quantized by NNCF, its mostly zero kernels stored sparsely."""

import numpy as np

from keras_ssc.export.pure_model import by_name
from keras_ssc.export.sparse_layout import sparse_layout, stored


def quantized(model, calibration):
    """Return an `openvino.Model` in 8 bits.

    Args:
        model: `openvino.Model` in float32, its kernels constants.
        calibration: list of arrays, one for each input.
    """
    import logging

    import nncf

    images = [
        by_name("input", [array[index : index + 1] for array in calibration])
        for index in range(len(calibration[0]))
    ]
    logging.getLogger("nncf").setLevel(logging.ERROR)
    model = nncf.quantize(model, nncf.Dataset(images), subset_size=len(images))
    for node in model.get_ops():
        if node.get_type_name() == "Constant" and node.get_element_type().to_dtype() == np.int8:
            array = node.get_data()
            if layout := sparse_layout(array):
                node.output(0).replace(_expansion(array, layout).output(0))
    return model


def _expansion(array, layout):
    """A node that computes `array` from its nonzero rows."""
    from openvino import opset13 as ops

    values, live = stored(array, layout)
    sizes = list(array.shape)
    sizes[0] //= layout.block
    order = [*layout.before, layout.listed, *layout.after]
    back = np.argsort(order)  # the block is the last axis, and belongs behind the first
    places = np.flatnonzero(live)[:, None]
    places = places.astype("uint16" if live.size <= 2**16 else "int32")
    zeros = ops.broadcast(np.zeros((), array.dtype), np.array([live.size, values.shape[1]]))
    filled = ops.scatter_nd_update(zeros, ops.convert(ops.constant(places), "i64"), values)
    shape = np.array([*(sizes[axis] for axis in order), layout.block])
    blocks = ops.reshape(filled, shape, special_zero=False)
    ordered = ops.transpose(blocks, np.array([back[0], array.ndim, *back[1:]]))
    return ops.reshape(ordered, np.array(array.shape), special_zero=False)
