"""An SSC layer in standard operations: one dense convolution, or a grouped and a point-wise one.

The grouped form needs g to divide M and all classes of channels (keras_ssc/channel_classes.py) to
have equally many filters.
"""

import keras
import numpy as np
from keras import ops

from keras_ssc.channel_classes import (
    equally_many_filters,
    is_residues_first,
    why_no_classes,
)
from keras_ssc.export.packing import pack
from keras_ssc.layers import SSCConv2D


def why_not_grouped(layer, narrowest_group):
    """Return why a built SSCConv2D can't, or should not, be a grouped convolution; else None."""
    pattern = layer.pattern
    if obstacle := why_no_classes(pattern):
        return obstacle
    if not equally_many_filters(pattern):
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


class GroupedConvolution(keras.layers.Layer):
    """A grouped KxK convolution and, added to it, a point-wise one on the pixel under its centre.

    TensorFlow's grouped convolution is called directly: `Conv2D(groups=...)` hides it in a
    compiled function that ONNX can't hold and LiteRT can't either.

    Args:
        shapes: dict of the variables' shapes: `"kernel"` (rows, columns, M / g, N), and where there
            are such parts `"pointwise"` (1, 1, M, N) and `"bias"` (N,).
        like: the layer in whose place it stands; it gives dtype, strides, padding, dilation_rate.
        activation: function, or None.
        name: str.
    """

    def __init__(self, shapes, like, activation, name):
        super().__init__(name=name, dtype=like.dtype_policy)
        self.geometry = {
            "strides": like.strides,
            "padding": like.padding.upper(),
            "dilations": like.dilation_rate,
        }
        self.activation = keras.activations.get(activation)
        self.parts = {
            name: self.add_weight(name=name, shape=shape, initializer="zeros")
            for name, shape in shapes.items()
        }

    def call(self, x):
        """Convolve `x` (batch, height, width, M)."""
        import tensorflow as tf

        parts = {name: ops.convert_to_tensor(part) for name, part in self.parts.items()}
        y = tf.nn.conv2d(x, parts["kernel"], **self.geometry)
        last = y
        if "pointwise" in parts:
            last = tf.nn.conv2d(self._under_centre(x), parts["pointwise"], 1, "VALID")
        if "bias" in parts:
            last = tf.nn.bias_add(last, parts["bias"])  # at a convolution, where runtimes fuse it
        return self.activation(y + last if "pointwise" in parts else last)

    def _under_centre(self, x):
        """The pixels that the centre tap reads: all for "same" (see `why_not_grouped`)."""
        if self.geometry["padding"] == "SAME":
            return x
        slices = []
        for axis, side in enumerate(self.parts["kernel"].shape[:2]):
            dilation = self.geometry["dilations"][axis]
            before = (side - 1) // 2 * dilation
            after = (side - 1) * dilation - before
            slices.append(slice(before, -after or None, self.geometry["strides"][axis]))
        return x[:, slices[0], slices[1]]


class Reorder(keras.layers.Layer):
    """Channels in a new order: output channel j is input channel `indices[j]`.

    Orders by residue class, the usual case, are a reshape and a transposition; others a gather.
    """

    def __init__(self, indices, **kwargs):
        super().__init__(**kwargs)
        self.indices = np.asarray(indices)

    def call(self, x):
        """Return `x` (..., channels) with its channels in the new order."""
        channels = len(self.indices)
        for g in range(2, channels):
            if is_residues_first(self.indices, g):
                sizes = [-1 if size is None else size for size in x.shape[:-1]]
                if sizes.count(-1) > 1:
                    sizes = ops.shape(x)[:-1]
                x = ops.swapaxes(ops.reshape(x, (*sizes, channels // g, g)), -1, -2)
                return ops.reshape(x, (*sizes, channels))
        return ops.take(x, self.indices.astype("int32"), axis=-1)
