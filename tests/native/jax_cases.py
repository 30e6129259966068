"""What the tests of the native kernels on JAX compute, natively and by JAX's own operations."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import keras
import numpy as np

from keras_ssc import SSCConv2D, SSCPattern
from keras_ssc.execution import convolve
from keras_ssc.layers import FusedBatchNormalization
from keras_ssc.native import batch_norm

PATTERN = SSCPattern(16, 32, 3, g=8, p=3)


def normal(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), "float32")


def assert_close(actual, expected, tolerance=1e-5):
    """Entry by entry, against the largest entry of each array."""
    for a, b in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        a, b = np.asarray(a), np.asarray(b)
        assert a.shape == b.shape
        scale = max(np.abs(b).max(initial=0), 1e-3)
        np.testing.assert_allclose(a / scale, b / scale, atol=tolerance)


def convolution(form, relu):
    """(loss of x, weights, bias, residual; arguments for it)."""
    settings = {"strides": (2, 1), "padding": "same", "relu": relu}
    weights = [normal(len(i), len(n), seed=3) for _, i, n in PATTERN.matrices]
    arguments = (normal(3, 7, 9, 16), weights, normal(32), normal(3, 4, 9, 32, seed=1))

    def loss(x, weights, bias, residual):
        y = convolve(x, weights, PATTERN, form, bias=bias, residual=residual, **settings)
        return jnp.sum(jnp.sin(y) * normal(4, 9, 32, seed=2))

    return loss, arguments


def normalization(form, relu):
    """(loss of x, gamma, beta, residual; arguments for it)."""
    gamma, beta = 1 + normal(16) ** 2, normal(16, seed=1)
    arguments = (normal(3, 4, 5, 16) + 2, gamma, beta, normal(3, 4, 5, 16, seed=2))

    def loss(x, gamma, beta, residual):
        if form == "native":
            y, *moments = batch_norm(x, gamma, beta, residual, relu=relu, epsilon=1e-3)
        else:
            moments = jnp.mean(x, (0, 1, 2)), jnp.var(x, (0, 1, 2))
            y = (x - moments[0]) / jnp.sqrt(moments[1] + 1e-3) * gamma + beta + residual
            y = jax.nn.relu(y) if relu else y
        return jnp.sum(jnp.sin(y) * normal(4, 5, 16, seed=2)) + jnp.sum(moments[0] * moments[1])

    return loss, arguments


def gradient(function):
    return jax.grad(function, (0, 1, 2, 3))


def small_model(execution, normalize):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 16))
    # No biases: before a normalisation their gradients are nothing but rounding.
    settings = {"g": 8, "p": 3, "padding": "same", "use_bias": False, "execution": execution}
    x = SSCConv2D(32, 3, activation="relu", **settings)(inputs)
    y = SSCConv2D(32, 3, **settings)(x)
    x = normalize(y, x)
    model = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(x)))
    model.compile(keras.optimizers.SGD(0.05, momentum=0.9), "mse")
    return model


def native_model():
    def normalized(y, x):
        return FusedBatchNormalization(activation="relu")(y, residual=x)

    return small_model("auto", normalized)


def portable_model():
    def normalize(y, x):
        return keras.layers.ReLU()(keras.layers.Add()([keras.layers.BatchNormalization()(y), x]))

    return small_model("dense", normalize)


def run(program, *arguments, **environment):
    """Run a Python program in a process of its own; return what it prints."""
    path = os.pathsep.join([os.path.dirname(__file__), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env=os.environ | {"KERAS_BACKEND": "jax", "PYTHONPATH": path} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
