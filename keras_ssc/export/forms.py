"""An SSC layer in standard operations: one dense convolution, or a grouped and a point-wise one.

With g dividing M, the KxK kernels of filter n lie on the channels of one residue class,
m = s(n) mod g: a grouped convolution, if all classes have equally many filters.
"""

import keras
import numpy as np

from keras_ssc.export.layers import GroupedConvolution, residues_first
from keras_ssc.export.packing import pack
from keras_ssc.layers import SSCConv2D


def grouped_order(pattern):
    """The filters by channel class: int array (N,); None if their numbers differ, or for g < 2."""
    if pattern.g < 2 or pattern.in_channels % pattern.g:
        return None
    classes = pattern.shifts % pattern.g
    if len(set(np.bincount(classes, minlength=pattern.g))) > 1:
        return None
    return np.argsort(classes, kind="stable")


def centre_is_simple(layer):
    """Whether the pixels under the centre tap are the input's own, or a plain crop of them."""
    same_size = max(layer.strides) == 1 and all(side % 2 for side in layer.kernel_size)
    return not layer.pattern.pointwise_channels or layer.padding == "valid" or same_size


def grouped_kernels(matrices, pattern, order):
    """Return the packed kernels of the grouped form: KxK, and 1x1 if the pattern has such.

    Args:
        matrices: list of arrays (positions, filters), one for each of `pattern.matrices`.
        pattern: SSCPattern.
        order: int array (N,), the filters in the order of the output's channels.
    """
    channels = np.arange(pattern.in_channels)
    column = np.argsort(order)
    lines = pattern.in_channels // pattern.g
    kernels = [pack(matrices, pattern, "kxk", channels // pattern.g, column, lines)]
    if pattern.pointwise_channels:
        line = np.argsort(residues_first(pattern.in_channels, pattern.g))
        kernels.append(pack(matrices, pattern, "pointwise", line, column, pattern.in_channels))
    return kernels


def dense_kernel(matrices, pattern, input_order):
    """Return the packed dense kernel for input channels that come in the order `input_order`."""
    column = np.arange(pattern.filters)
    return pack(matrices, pattern, "all", np.argsort(input_order), column, pattern.in_channels)


def empty_layer(layer, name, groups, bias):
    """Return a convolution of standard operations, channels last, in the place of `layer`.

    Args:
        layer: SSCConv2D or Conv2D, built.
        name: str.
        groups: int; 1 for a dense convolution.
        bias: bool.
    """
    if groups > 1:
        channels = layer.input_spec.axes[-1]
        shapes = {"kernel": (*layer.kernel_size, channels // groups, layer.filters)}
        if isinstance(layer, SSCConv2D) and layer.pattern.pointwise_channels:
            shapes["pointwise"] = (1, 1, channels, layer.filters)
        if bias:
            shapes["bias"] = (layer.filters,)
        return GroupedConvolution(shapes, layer, name)
    return keras.layers.Conv2D(
        layer.filters,
        layer.kernel_size,
        strides=layer.strides,
        padding=layer.padding,
        data_format="channels_last",
        dilation_rate=layer.dilation_rate,
        activation=layer.activation,
        use_bias=bias,
        kernel_initializer="zeros",
        name=name,
        dtype=layer.dtype_policy,
    )
