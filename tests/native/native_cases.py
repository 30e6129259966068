"""The native passes beside the slow reference: for the tests of the kernels."""

import itertools

import keras
import numpy as np
import pytest
import reference

from keras_ssc import SSCPattern

ON_JAX = keras.backend.backend() == "jax"
TURN = itertools.count()
WIDTHS, SLICES = (0, 4, 8, 16), (1, 2, 4)


def three_passes(pattern, x, weights, dy, **settings):
    """Return y and the gradients by x and by the weights, as arrays."""
    from keras_ssc.native import native

    if ON_JAX:
        import jax

        def passes(x, weights, dy):
            y, backward = jax.vjp(lambda *a: native(*a, pattern, **settings), x, weights)
            return y, *backward(dy)

        y, dx, gradients = jax.jit(passes)(x, weights, dy)
        return [np.asarray(array) for array in (y, dx, *gradients)]
    import tensorflow as tf

    x, weights = tf.constant(x), [tf.constant(matrix) for matrix in weights]
    with tf.GradientTape() as tape:
        tape.watch([x, *weights])
        y = native(x, weights, pattern, **settings)
    dx, *gradients = tape.gradient(y, [x, *weights], output_gradients=tf.constant(dy))
    return [tensor.numpy() for tensor in (y, dx, *gradients)]


def ways():
    """(widest vector, parts of the work): all; on JAX one for each call, all of them in turn."""
    pairs = list(itertools.product(WIDTHS, SLICES))
    if ON_JAX:  # each is compiled anew there
        return [pairs[next(TURN) % len(pairs)]]
    return pairs


def case(pattern, size, batch=3, strides=(1, 1), dilation=(1, 1), padding="same"):
    """Return (pattern, arrays in, reference out, settings), or skip what can't be."""
    pattern = SSCPattern(**pattern)
    spans = [(k - 1) * d + 1 for k, d in zip(pattern.kernel_size, dilation, strict=True)]
    if padding == "valid" and any(s > room for s, room in zip(spans, size, strict=True)):
        pytest.skip("the kernel is larger than the image")
    random = np.random.default_rng(0)
    mask = pattern.mask()
    kernel = random.normal(size=mask.shape) * mask
    x = random.normal(size=(batch, *size, pattern.in_channels))
    y = reference.convolution(x, kernel, 0, strides, padding, dilation)
    dy = random.normal(size=y.shape)
    dx, dkernel, _ = reference.convolution_gradients(x, kernel, dy, strides, padding, dilation)
    places = [pattern.flat_indices(rows, filters) for _, rows, filters in pattern.matrices]
    weights = [kernel.reshape(-1)[place].astype("float32") for place in places]
    expected = [y, dx, *(dkernel.reshape(-1)[place] for place in places)]
    settings = {"strides": strides, "padding": padding, "dilation_rate": dilation}
    return pattern, (x.astype("float32"), weights, dy.astype("float32")), expected, settings
