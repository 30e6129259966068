"""Shapes and values of the images that a convolution takes, checked before it computes."""

import keras

from keras_ssc.arguments import integer

# Rows or columns that a kernel or a stride may span.
MAX_REACH = 2**15 - 1


def geometry(kernel_size, strides, dilation_rate):
    """Refuse pairs that don't go together, or reach further than images go."""
    if max(strides) > 1 and max(dilation_rate) > 1:
        raise ValueError(
            "`strides` > 1 and `dilation_rate` > 1 can't be combined. "
            f"Received: strides={strides}, dilation_rate={dilation_rate}"
        )
    spans = [(side - 1) * rate + 1 for side, rate in zip(kernel_size, dilation_rate, strict=True)]
    if max(*spans, *strides, *dilation_rate) > MAX_REACH:
        raise ValueError(
            f"`kernel_size` with `dilation_rate`, and `strides`, must span at most {MAX_REACH} "
            f"pixels. Received: kernel_size={kernel_size}, dilation_rate={dilation_rate}, "
            f"strides={strides}"
        )


def image_shape(name, shape, channel_axis=None):
    """Return `shape` as a tuple of four sizes or Nones; the channels known, where asked for.

    Args:
        name: str, of the layer.
        shape: what should be such a tuple, or a `tf.TensorShape` of rank 4.
        channel_axis: int, the axis whose size must be known; None: none must.
    """
    received = f"Received: input shape {shape}"
    try:
        sizes = () if isinstance(shape, (str, dict)) else tuple(shape)
    except (TypeError, ValueError):  # no sequence, or TensorFlow's shape of unknown rank
        sizes = ()
    if len(sizes) != 4:
        raise ValueError(f"`{name}` needs inputs of 4 dimensions. {received}")
    for axis, size in enumerate(sizes):
        if size is None or (axis == 0 and _is_symbol(size)):
            continue
        if integer("input shape", size, 0) >= 2**31:
            raise ValueError(f"`{name}` needs inputs of fewer than 2^31 pixels a side. {received}")
    if channel_axis is not None and sizes[channel_axis] is None:
        raise ValueError(
            f"The channel dimension of the inputs of `{name}` must be known (axis {channel_axis}). "
            f"{received}"
        )
    return sizes


def _is_symbol(size):
    """Whether a size stands for any number, as the batch may in a program of `jax.export`."""
    if keras.backend.backend() != "jax":
        return False
    import jax.export

    return jax.export.is_symbolic_dim(size)


def as_tensor(inputs, dtype):
    """Return `inputs` as a tensor of `dtype`; refuse what is not of real numbers."""
    x = keras.ops.convert_to_tensor(inputs)
    if keras.backend.standardize_dtype(x.dtype).startswith(("complex", "str")):
        raise TypeError(f"`inputs` must be real numbers. Received: dtype {x.dtype}")
    return keras.ops.cast(x, dtype)


def residual_shape(residual, expected):
    """Refuse a residual that is not shaped like the output, as far as both are known."""
    if residual is None:
        return
    sizes = tuple(residual.shape)
    if len(sizes) != 4 or any(
        None not in (size, wanted) and size != wanted
        for size, wanted in zip(sizes, expected, strict=True)
    ):
        raise ValueError(f"`residual` must be shaped {expected}. Received: shape {sizes}")


def output_size(input_shape, axis, kernel, stride, dilation, padding):
    """The output's size along one axis; None where the input's is None."""
    size = input_shape[axis]
    if size is None:
        return None
    reach = (kernel - 1) * dilation
    outputs = -(-size // stride) if padding == "same" else (size - reach - 1) // stride + 1
    if outputs < 1:
        raise ValueError(
            f"The input is smaller than the kernel: {size} pixels along axis {axis}, while "
            f"`kernel_size` {kernel} with `dilation_rate` {dilation} spans {reach + 1}. "
            f"Received: input shape {tuple(input_shape)}"
        )
    return outputs
