"""Values and gradients of a layer on any backend, through public API only."""

import keras
import numpy as np


def value_and_gradients(layer, x, dy, jit=False):
    """Return (y, gradient by x, [gradients by the variables]) of sum(y * dy), as arrays."""
    if keras.backend.backend() == "jax":
        # Without jit JAX compiles every operation of every new shape by itself: ten times slower.
        y, by_x, by_weights = _jax(layer, x, dy, jit=True)
    else:
        y, by_x, by_weights = _tensorflow(layer, x, dy, jit)
    return np.asarray(y), np.asarray(by_x), [np.asarray(gradient) for gradient in by_weights]


def _jax(layer, x, dy, jit):
    import jax

    weights = [variable.value for variable in layer.trainable_variables]

    def loss(x, weights):
        y, _ = layer.stateless_call(weights, [], x)
        return keras.ops.sum(y * dy), y

    both = jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)
    (_, y), (by_x, by_weights) = (jax.jit(both) if jit else both)(jax.numpy.asarray(x), weights)
    return y, by_x, by_weights


def _tensorflow(layer, x, dy, jit):
    import tensorflow as tf

    def run(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
            loss = tf.reduce_sum(y * dy)
        return y, tape.gradient(loss, [x, *(v.value for v in layer.trainable_variables)])

    y, (by_x, *by_weights) = (tf.function(run, jit_compile=True) if jit else run)(tf.constant(x))
    return y, by_x, by_weights
