"""A normalisation by known moments as part of the convolution before it, while JAX traces.

JAX's tensors don't say where they come from, so a convolution remembers what its result was made
of, for as long as the result lives. A normalisation of this very tensor is then a convolution with
other weights and biases; nothing reads the first one any more, and XLA leaves it out:

    (conv(x, w) + bias) * scale + shift = conv(x, w * scale) + bias * scale + shift
"""

from keras_ssc.native.traced_tensors import Known

_made_of = Known()  # a tensor -> (x, weights, geometry, bias)


def remember(y, x, weights, geometry, bias):
    """Remember that `y` is conv(x, weights) + bias; arguments as for `jax_convolution.convolve`."""
    _made_of.remember(y, (x, weights, geometry, bias))


def normalized(y, scale, shift, residual, relu):
    """Return relu(y * scale + shift + residual) in one pass, or None where `y` is not remembered.

    Args:
        y: JAX array (batch, height, width, N).
        scale, shift: arrays (N,).
        residual: array like y, or None.
        relu: bool.
    """
    from keras_ssc.native.jax_convolution import convolve

    made_of = _made_of.find(y)
    if made_of is None:
        return None
    x, weights, geometry, bias = made_of
    weights = [
        matrix * scale[filters]
        for matrix, (_, _, filters) in zip(weights, geometry.pattern.matrices, strict=True)
    ]
    shift = shift if bias is None else bias * scale + shift
    return convolve(x, weights, geometry, shift, residual, relu)
