"""`execution="grouped"`: one small dense convolution per channel class, and a point-wise one.

With g dividing M, the KxK part is g separate convolutions of M / g channels
(keras_ssc/channel_classes.py). TensorFlow does them in one operation where that has a fast
gradient, on CPU with oneDNN. Elsewhere they are written as split + convolutions + concatenation:
the libraries' own grouped convolutions have no gradient, or a very slow one, on other CPUs and
under XLA. The 1x1 part is one point-wise convolution on the pixels under the centre tap.
"""

import functools

import keras
import numpy as np
from keras import ops

from keras_ssc.channel_classes import (
    equally_many_filters,
    filter_counts,
    filters_by_class,
    is_residues_first,
    why_no_classes,
)
from keras_ssc.execution.expand import group_kernel, pointwise_kernel
from keras_ssc.native import accelerator, compiled_by_xla


def why_not_grouped(pattern, *, strides, padding, sizes):
    """Return why the grouped form can't serve, or None where it can.

    Args:
        pattern: SSCPattern.
        strides: (rows, columns).
        padding: `"same"` or `"valid"`.
        sizes: (height, width) of the input, None where unknown.
    """
    if obstacle := why_no_classes(pattern):
        return obstacle
    unknown = any(size is None and stride > 1 for size, stride in zip(sizes, strides, strict=True))
    if padding == "same" and pattern.pointwise_channels and unknown:
        return 'with strides and padding="same" the centre tap depends on the unknown input size'
    return None


def grouped(x, weights, pattern, *, strides, padding, dilation_rate):
    """Convolve `x` (batch, height, width, M) class by class. Arguments as for `dense`."""
    order, counts = filters_by_class(pattern), filter_counts(pattern)
    kernel = group_kernel(weights, pattern, order)
    convolve = _at_once if in_one_operation(pattern, x.dtype) else _one_by_one
    y = convolve(_by_classes(x, pattern.g), kernel, counts, strides, padding, dilation_rate)
    y = _natural_order(y, order, pattern.g)
    if pattern.pointwise_channels:
        centre = _pixels_under_centre(x, pattern, strides, padding, dilation_rate)
        y = y + ops.conv(centre, pointwise_kernel(weights, pattern), data_format="channels_last")
    return y


def _shape(x):
    """The shape of `x`, with tensors where a size is unknown."""
    sizes = zip(x.shape, ops.shape(x), strict=True)
    return [known if known is not None else now for known, now in sizes]


def _by_classes(x, g):
    """Bring the channels into the order 0, g, 2g, ..., 1, g + 1, ...: class after class."""
    batch, height, width, channels = _shape(x)
    x = ops.reshape(x, (batch, height, width, channels // g, g))
    return ops.reshape(ops.swapaxes(x, -1, -2), (batch, height, width, channels))


def _one_by_one(x, kernel, counts, strides, padding, dilation_rate):
    """One convolution for each class, of `counts[c]` filters."""
    kernels = ops.split(kernel, np.cumsum(counts)[:-1].tolist(), axis=-1)
    settings = {"strides": strides, "padding": padding, "data_format": "channels_last"}
    outputs = [
        ops.conv(part, own, dilation_rate=dilation_rate, **settings)
        for part, own in zip(ops.split(x, len(counts), axis=-1), kernels, strict=True)
        if own.shape[-1]
    ]
    return ops.concatenate(outputs, axis=-1)


def _at_once(x, kernel, counts, strides, padding, dilation_rate):
    """TensorFlow's grouped convolution, called by its own name: Keras would send it to XLA."""
    import tensorflow as tf

    return tf.nn.conv2d(x, kernel, strides, padding.upper(), dilations=dilation_rate)


def in_one_operation(pattern, dtype):
    """Whether TensorFlow's grouped convolution does it: it is here, with gradients, not in XLA."""
    if keras.backend.backend() != "tensorflow" or compiled_by_xla():
        return False
    if not equally_many_filters(pattern):
        return False
    return keras.backend.standardize_dtype(dtype) == "float32" and _has_gradients()


@functools.cache
def _has_gradients():
    """Try a small one: without oneDNN TensorFlow has no gradient of it on CPU."""
    import tensorflow as tf

    @tf.function
    def gradients(x, kernel):
        y = tf.nn.conv2d(x, kernel, 1, "SAME")
        return tf.gradients(y, [x, kernel])

    with tf.init_scope():
        if accelerator():
            return False
        try:
            gradients(tf.ones((1, 4, 4, 8)), tf.ones((3, 3, 4, 8)))
        except (tf.errors.OpError, ValueError):
            return False
    return True


def _natural_order(y, order, g):
    """Bring filters that stand in the order `order` back to 0, 1, 2, ..."""
    filters = len(order)
    if np.array_equal(order, np.arange(filters)):
        return y
    if is_residues_first(order, g):
        batch, height, width, _ = _shape(y)
        y = ops.reshape(y, (batch, height, width, g, filters // g))
        return ops.reshape(ops.swapaxes(y, -1, -2), (batch, height, width, filters))
    return ops.take(y, np.argsort(order).astype("int32"), axis=-1)


def _pixels_under_centre(x, pattern, strides, padding, dilation_rate):
    """The pixels of `x` that the centre tap reads, one for each output pixel."""
    pads, slices = [(0, 0)], [slice(None)]
    for axis, size in enumerate(x.shape[1:3]):
        reach = (pattern.kernel_size[axis] - 1) * dilation_rate[axis]
        centre = pattern.centre_tap[axis] * dilation_rate[axis]
        before, after, part = _one_axis(size, strides[axis], padding, reach, centre)
        pads.append((before, after))
        slices.append(part)
    if any(pad != (0, 0) for pad in pads):
        x = ops.pad(x, [*pads, (0, 0)])
    if any(part != slice(None) for part in slices):
        x = x[tuple(slices)]
    return x


def _one_axis(size, stride, padding, reach, centre):
    """(zeros before, zeros after, slice) that pick the pixels i * stride + centre - padding."""
    if padding == "valid":
        return 0, 0, slice(centre or None, centre - reach or None, stride if stride > 1 else None)
    if stride == 1:
        # "same" pads reach // 2 before, so the centre tap of even kernels can lie further up.
        up = reach // 2 - centre
        return up, 0, slice(None, -up or None)
    outputs = -(-size // stride)
    padded = max((outputs - 1) * stride + reach + 1 - size, 0)
    first = centre - padded // 2
    last = first + (outputs - 1) * stride
    before, after = max(-first, 0), max(last + 1 - size, 0)
    return before, after, slice(first + before, last + before + 1, stride)
