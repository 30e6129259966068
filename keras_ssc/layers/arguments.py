"""Arguments of a convolution layer, checked at the door."""

from keras_ssc.sparsity import fraction


def integer(name, value, minimum):
    """Return `value` as an int of at least `minimum`."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"`{name}` must be an integer. Received: {name}={value!r}")
    if value < minimum:
        raise ValueError(f"`{name}` must be at least {minimum}. Received: {name}={value}")
    return int(value)


def number(name, value, minimum):
    """Return `value` as a float of at least `minimum`."""
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        raise TypeError(f"`{name}` must be a number. Received: {name}={value!r}")
    if not minimum <= float(value) < float("inf"):
        raise ValueError(f"`{name}` must be at least {minimum}. Received: {name}={value}")
    return float(value)


def pair(name, value):
    """Return (rows, columns) for a positive integer or two of them."""
    if isinstance(value, (tuple, list)):
        if len(value) != 2:
            raise ValueError(f"`{name}` must be an integer or two. Received: {name}={value!r}")
        return tuple(integer(name, side, 1) for side in value)
    return (integer(name, value, 1),) * 2


def one_of(name, value, choices):
    """Return `value`, in lower case, if it is one of `choices`."""
    if not isinstance(value, str) or value.lower() not in choices:
        raise ValueError(f"`{name}` must be one of {choices}. Received: {name}={value!r}")
    return value.lower()


def check_pattern_choice(g, p, sparsity):
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
