"""An SSC layer in standard operations: one dense convolution, or a grouped and a point-wise one.

With g dividing M, the KxK kernels of filter n lie on the channels of one residue class,
m = s(n) mod g: a grouped convolution, if all classes have equally many filters.
"""

import keras
import numpy as np

from keras_ssc.export.layers import GroupedConvolution
from keras_ssc.export.packing import pack
from keras_ssc.layers import SSCConv2D


def filter_order(pattern):
    """Filters by class, those that read the same positions side by side: int array (N,)."""
    shifts = pattern.shifts % pattern.in_channels
    classes = shifts % pattern.g if pattern.g else shifts
    return np.lexsort((pattern.parities, shifts, classes))


def why_not_grouped(layer, narrowest_group):
    """Return why a built SSCConv2D can't, or should not, be a grouped convolution; else None."""
    pattern = layer.pattern
    if pattern.g < 2 or pattern.in_channels % pattern.g:
        return "g must be at least 2 and divide the input channels"
    if len(set(np.bincount(pattern.shifts % pattern.g, minlength=pattern.g))) > 1:
        return "the classes of channels have different numbers of filters"
    if pattern.in_channels // pattern.g < narrowest_group:
        return f"a dense convolution is faster below {narrowest_group} channels a group"
    same_size = max(layer.strides) == 1 and all(side % 2 for side in layer.kernel_size)
    if pattern.pointwise_channels and layer.padding == "same" and not same_size:
        return "the pixels under the centre tap are no plain crop of the input"
    return None


def dense_kernel(matrices, pattern, channel_order, filter_order):
    """Return (kernel, live), arrays (K, K, M, N), with channels and filters in other orders.

    Args:
        matrices: list of arrays (positions, filters), one for each of `pattern.matrices`.
        pattern: SSCPattern.
        channel_order: int array (M,).
        filter_order: int array (N,).
    """
    kernel = np.zeros(pattern.dense_weight_count, matrices[0].dtype)
    for matrix, (_, positions, filters) in zip(matrices, pattern.matrices, strict=True):
        kernel[pattern.flat_indices(positions, filters)] = matrix
    live = pattern.mask()
    kernel = kernel.reshape(live.shape)
    return tuple(array[:, :, channel_order][..., filter_order] for array in (kernel, live))


def packed_dense(matrices, pattern, channel_order, filter_order):
    """Return [packed kernel] of the dense form. Arguments as for `dense_kernel`."""
    return [pack(*dense_kernel(matrices, pattern, channel_order, filter_order))]


def is_by_class(channel_order, g):
    """Whether the channels come by residue class: those of class 0, then of class 1, ..."""
    return np.array_equal(channel_order % g, np.sort(channel_order % g))


def packed_groups(matrices, pattern, channel_order, filter_order):
    """Return [packed KxK kernel, packed 1x1 kernel if there is one] of the grouped form.

    The channels come by residue class modulo g. Arguments as for `dense_kernel`.
    """
    arrays = dense_kernel(matrices, pattern, channel_order, filter_order)
    parts = [_split(array, pattern) for array in arrays]
    packed = [pack(kernel, live) for kernel, live in zip(*parts, strict=True)]
    return packed if pattern.pointwise_channels else packed[:1]


def _split(array, pattern):
    """Split a dense kernel, all by class: what a class reads of itself, and of the others."""
    g, (rows, columns, channels, filters) = pattern.g, array.shape
    blocks = array.reshape(rows, columns, g, channels // g, g, filters // g).copy()
    classes = np.arange(g)
    own = np.moveaxis(blocks[:, :, classes, :, classes], 0, 3)
    blocks[:, :, classes, :, classes] = 0
    others = blocks[pattern.centre_tap].reshape(1, 1, channels, filters)
    return own.reshape(rows, columns, channels // g, filters), others


def empty_layer(layer, name, groups, bias):
    """Return a convolution of standard operations, channels last, in the place of `layer`.

    It has the activation of a layer that is channels last; others need theirs afterwards.

    Args:
        layer: SSCConv2D or Conv2D, built.
        name: str.
        groups: int; 1 for a dense convolution.
        bias: bool.
    """
    last = layer.data_format == "channels_last"
    activation = layer.activation if last else None
    if groups > 1:
        channels = layer.input_spec.axes[-1 if last else 1]
        shapes = {"kernel": (*layer.kernel_size, channels // groups, layer.filters)}
        if isinstance(layer, SSCConv2D) and layer.pattern.pointwise_channels:
            shapes["pointwise"] = (1, 1, channels, layer.filters)
        if bias:
            shapes["bias"] = (layer.filters,)
        return GroupedConvolution(shapes, layer, activation, name)
    return keras.layers.Conv2D(
        layer.filters,
        layer.kernel_size,
        strides=layer.strides,
        padding=layer.padding,
        data_format="channels_last",
        dilation_rate=layer.dilation_rate,
        activation=activation,
        use_bias=bias,
        kernel_initializer="zeros",
        name=name,
        dtype=layer.dtype_policy,
    )
