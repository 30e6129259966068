"""Networks traced for a GPU that is not there, and computed on the CPU by JAX's operations."""

import jax
import jax.numpy as jnp
import keras
import numpy as np
from jax.extend.core import Literal

from keras_ssc import SSCConv2D
from keras_ssc.layers import FusedBatchNormalization
from keras_ssc.native import channel_order
from keras_ssc.native.gpu import lowering, passes

SHAPE = (2, 4, 5, 32)


def trace_for_a_gpu(monkeypatch):
    """Layers are traced for a GPU, whose kernels serve."""
    monkeypatch.setattr(lowering, "find", lambda: (passes.Device(232448, None), None))
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")


def conv(filters=32, **more):
    settings = {"g": 8, "p": 7, "padding": "same", "use_bias": False, "execution": "native"}
    return SSCConv2D(filters, more.pop("kernel_size", 3), **(settings | more))


def norm(activation="relu", **more):
    return FusedBatchNormalization(activation=activation, **more)


def model_of(function):
    """A model with variables that all differ; the moving variances are positive."""
    inputs = keras.Input(SHAPE[1:])
    model = keras.Model(inputs, function(inputs))
    random = np.random.default_rng(1)
    for variable in model.variables:
        variable.assign(random.uniform(0.2, 1, variable.shape))
    return model


def images(dtype="float32"):
    return jnp.asarray(np.random.default_rng(0).integers(-2, 3, SHAPE), dtype)


def values(model):
    parts = (model.trainable_variables, model.non_trainable_variables)
    return [[variable.value for variable in variables] for variables in parts]


def call(model, training=False):
    return lambda *a: model.stateless_call(*a, training=training)


def step(function):
    """The gradients of the mean square of a model's output, and its moving statistics."""

    def loss(*arguments):
        y, other = function(*arguments)
        return jnp.mean(y**2), other

    return jax.value_and_grad(loss, has_aux=True)


def check(function, *arguments, tolerance=1e-5):
    """A program that keeps orders gives the numbers of one that does not."""
    kept = jax.jit(lambda *a: function(*a))(*arguments)
    with channel_order.each_layer_alone():
        alone = jax.jit(lambda *a: function(*a))(*arguments)
    assert jax.tree.structure(kept) == jax.tree.structure(alone)
    for one, other in zip(jax.tree.leaves(kept), jax.tree.leaves(alone), strict=True):
        assert one.dtype == other.dtype
        one, other = (np.asarray(array, "float32") for array in (one, other))
        scale = np.max(np.abs(other), initial=1e-6)
        np.testing.assert_allclose(one / scale, other / scale, atol=tolerance)


def permutations(function, *arguments):
    """Count permutations of maps in a program, those left out that nobody reads."""

    def walk(jaxpr, used):
        used, found = {one for one in used if not isinstance(one, Literal)}, 0
        for equation in reversed(jaxpr.eqns):
            if not used & set(equation.outvars):
                continue
            used |= {one for one in equation.invars if not isinstance(one, Literal)}
            one_of_ours = equation.primitive.name == "keras_ssc_permute"
            found += one_of_ours and equation.outvars[0].aval.shape[:-3] == SHAPE[:1]
            for inner in jax.tree.leaves(list(equation.params.values())):
                if hasattr(inner := getattr(inner, "jaxpr", inner), "eqns"):
                    both = zip(inner.outvars, equation.outvars, strict=True)
                    found += walk(inner, [own for own, outside in both if outside in used])
        return found

    jaxpr = jax.make_jaxpr(lambda *a: function(*a))(*arguments).jaxpr
    return walk(jaxpr, jaxpr.outvars)
