"""Arguments and inputs of a convolution layer, checked at the door."""

import functools
import operator

import keras

from keras_ssc.sparsity import fraction

FLOATS = ("float32", "float64", "float16", "bfloat16")
FURTHEST = 2**15 - 1


def integer(name, value, minimum):
    """Return `value` as an int of at least `minimum`."""
    try:
        whole = operator.index(value)
    except TypeError:
        whole = None
    if whole is None or isinstance(value, bool):
        raise TypeError(f"`{name}` must be an integer. Received: {name}={value!r}")
    if whole < minimum:
        raise ValueError(f"`{name}` must be at least {minimum}. Received: {name}={value}")
    return whole


def number(name, value, minimum):
    """Return `value` as a float of at least `minimum`."""
    try:
        real = None if isinstance(value, (bool, str, bytes)) else float(value)
    except (TypeError, ValueError, OverflowError):
        real = None
    if real is None:
        raise TypeError(f"`{name}` must be a number. Received: {name}={value!r}")
    if not minimum <= real < float("inf"):
        raise ValueError(f"`{name}` must be at least {minimum}. Received: {name}={value}")
    return real


def boolean(name, value):
    """Return `value` if it is True or False."""
    if not isinstance(value, bool):
        raise TypeError(f"`{name}` must be True or False. Received: {name}={value!r}")
    return value


def _known_to_keras(get, name, value):
    """Return what `get`, such as `keras.initializers.get`, makes of `value`."""
    try:
        return get(value)
    except Exception as error:
        raise ValueError(f"`{name}` is not known to Keras: {error}") from None


activation = functools.partial(_known_to_keras, keras.activations.get)
initializer = functools.partial(_known_to_keras, keras.initializers.get)
regularizer = functools.partial(_known_to_keras, keras.regularizers.get)
constraint = functools.partial(_known_to_keras, keras.constraints.get)


def pair(name, value):
    """Return (rows, columns) for a positive integer or two of them."""
    if isinstance(value, (tuple, list)):
        if len(value) != 2:
            raise ValueError(f"`{name}` must be an integer or two. Received: {name}={value!r}")
        return tuple(integer(name, side, 1) for side in value)
    return (integer(name, value, 1),) * 2


def geometry(kernel_size, strides, dilation_rate):
    """Refuse pairs that don't go together, or reach further than images go."""
    if max(strides) > 1 and max(dilation_rate) > 1:
        raise ValueError(
            "`strides` > 1 and `dilation_rate` > 1 can't be combined. "
            f"Received: strides={strides}, dilation_rate={dilation_rate}"
        )
    spans = [(side - 1) * rate + 1 for side, rate in zip(kernel_size, dilation_rate, strict=True)]
    if max(*spans, *strides, *dilation_rate) > FURTHEST:
        raise ValueError(
            f"`kernel_size` with `dilation_rate`, and `strides`, must span at most {FURTHEST} "
            f"pixels. Received: kernel_size={kernel_size}, dilation_rate={dilation_rate}, "
            f"strides={strides}"
        )


def one_of(name, value, choices):
    """Return `value`, in lower case, if it is one of `choices`."""
    if not isinstance(value, str) or value.lower() not in choices:
        raise ValueError(f"`{name}` must be one of {choices}. Received: {name}={value!r}")
    return value.lower()


def pattern_choice(g, p, sparsity):
    """Return (g, p, sparsity) with either g and p or the sparsity; 0.9 if none is given."""
    received = f"Received: g={g}, p={p}, sparsity={sparsity}"
    if sparsity is not None:
        if g is not None or p is not None:
            raise ValueError(f"Give either `g` and `p` or `sparsity`, not both. {received}")
        return None, None, fraction("sparsity", sparsity)
    if g is None and p is None:
        return None, None, 0.9
    if g is None or p is None:
        raise ValueError(
            "`g` and `p` go together (0 means no KxK kernels, or no 1x1 kernels). " + received
        )
    return integer("g", g, 0), integer("p", p, 0), None


def image_shape(name, shape, channel_axis=None):
    """Return `shape` as a tuple of four sizes or Nones, the channels known where they are asked for.

    Args:
        name: str, of the layer.
        shape: what should be such a tuple.
        channel_axis: int, the axis whose size must be known; None: none must.
    """
    received = f"Received: input shape {shape}"
    sizes = tuple(shape) if isinstance(shape, (tuple, list)) else ()
    if len(sizes) != 4:
        raise ValueError(f"`{name}` needs inputs of 4 dimensions. {received}")
    for size in sizes:
        if size is not None and integer("input shape", size, 0) >= 2**31:
            raise ValueError(f"`{name}` needs inputs of fewer than 2^31 pixels a side. {received}")
    if channel_axis is not None and sizes[channel_axis] is None:
        raise ValueError(
            f"The channel dimension of the inputs of `{name}` must be known (axis {channel_axis}). "
            f"{received}"
        )
    return sizes


def images(inputs, dtype):
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
