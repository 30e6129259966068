"""Layers of the exported graph only: a grouped convolution, and a new order of channels."""

import keras
import numpy as np
from keras import ops


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
        """The pixels that the centre tap reads: all for "same" (see `forms.why_not_grouped`)."""
        if self.geometry["padding"] == "SAME":
            return x
        cuts = []
        for axis, side in enumerate(self.parts["kernel"].shape[:2]):
            dilation = self.geometry["dilations"][axis]
            before = (side - 1) // 2 * dilation
            after = (side - 1) * dilation - before
            cuts.append(slice(before, -after or None, self.geometry["strides"][axis]))
        return x[:, cuts[0], cuts[1]]


def residues_first(channels, g):
    """Channels by residue class: 0, g, 2g, ..., then 1, g + 1, ...: int array (channels,)."""
    return np.arange(channels).reshape(-1, g).T.ravel()


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
            if channels % g == 0 and np.array_equal(self.indices, residues_first(channels, g)):
                sizes = [-1 if size is None else size for size in x.shape[:-1]]
                if sizes.count(-1) > 1:
                    sizes = ops.shape(x)[:-1]
                x = ops.swapaxes(ops.reshape(x, (*sizes, channels // g, g)), -1, -2)
                return ops.reshape(x, (*sizes, channels))
        return ops.take(x, self.indices.astype("int32"), axis=-1)
