"""In JAX's inference a normalisation is part of the convolution before it: equal, and one pass."""

import keras
import numpy as np
import pytest

if keras.backend.backend() != "jax":
    pytest.skip("about JAX", allow_module_level=True)

import jax
import jax.numpy as jnp
from jax_cases import assert_close, normal

from keras_ssc import SSCConv2D
from keras_ssc.layers import FusedBatchNormalization
from keras_ssc.native import jax_fusion

pytestmark = [pytest.mark.jax, pytest.mark.usefixtures("compiler")]


def network(*, bias, relu, residual, also=False, between=None):
    """(function of (weights, statistics, x), its arguments): convolution, normalisation."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6, 5, 16))
    conv = SSCConv2D(32, 3, padding="same", g=8, p=3, use_bias=bias, bias_initializer="normal")
    made = conv(inputs)
    x = made if between is None else between(made)
    added = keras.layers.Conv2D(32, 1)(inputs) if residual else None
    y = FusedBatchNormalization(activation="relu" if relu else None)(x, residual=added)
    model = keras.Model(inputs, [y, made] if also else y)
    random = np.random.default_rng(0)
    for variable in model.variables:
        if "kernel" not in variable.name:
            variable.assign(random.uniform(0.5, 1.5, variable.shape))
    values = [[v.value for v in own] for own in (model.trainable_variables,
                                                 model.non_trainable_variables)]  # fmt: skip

    def function(trainable, fixed, x):
        return model.stateless_call(trainable, fixed, x, training=False)[0]

    return function, (*values, normal(3, 6, 5, 16))


def loss(function):
    return lambda *a: sum(jnp.sum(jnp.sin(y)) for y in jax.tree.leaves(function(*a)))


def calls(function, arguments):
    """Convolutions of ours in the compiled program."""
    return jax.jit(function).lower(*arguments).compile().as_text().count('"KerasSscConv2D"')


@pytest.mark.parametrize(("bias", "relu", "residual"), [(0, 0, 0), (1, 1, 0), (0, 1, 1), (1, 0, 1)])
def test_values_and_gradients_are_those_of_two_layers(bias, relu, residual, monkeypatch):
    """Also the gradients by gamma, beta and the moving statistics."""
    function, arguments = network(bias=bool(bias), relu=relu, residual=residual)
    both = jax.jit(jax.value_and_grad(loss(function), argnums=(0, 1, 2)))
    found = jax.jit(function)(*arguments), both(*arguments)
    assert calls(function, arguments) == 1
    program = str(jax.make_jaxpr(function)(*arguments))
    assert program.count(f"relu={bool(relu)}") == 1 + (not relu)  # the first one is left out later
    monkeypatch.setattr(jax_fusion, "remember", lambda *_: None)
    function, _ = network(bias=bool(bias), relu=relu, residual=residual)
    both = jax.jit(jax.value_and_grad(loss(function), argnums=(0, 1, 2)))
    assert_close(found, (jax.jit(function)(*arguments), both(*arguments)))


def test_an_output_that_is_also_asked_for_is_right(monkeypatch):
    function, arguments = network(bias=True, relu=True, residual=False, also=True)
    found = jax.jit(function)(*arguments)
    monkeypatch.setattr(jax_fusion, "remember", lambda *_: None)
    function, _ = network(bias=True, relu=True, residual=False, also=True)
    assert_close(found, jax.jit(function)(*arguments))


def test_what_stands_between_is_not_left_out():
    function, arguments = network(
        bias=True, relu=False, residual=False, between=keras.layers.Dropout(0.0)
    )
    plain, _ = network(bias=True, relu=False, residual=False)
    assert_close(jax.jit(function)(*arguments), jax.jit(plain)(*arguments))
    function, arguments = network(
        bias=True, relu=False, residual=False, between=keras.layers.Rescaling(2.0)
    )
    assert calls(function, arguments) == 1
    assert not np.allclose(jax.jit(function)(*arguments), jax.jit(plain)(*arguments))


def test_nothing_is_kept_after_tracing_nor_without_it():
    function, arguments = network(bias=True, relu=True, residual=True)
    jax.jit(function)(*arguments)
    assert not jax_fusion._made_of
    eager = function(*arguments)
    assert not jax_fusion._made_of
    assert_close(eager, jax.jit(function)(*arguments))


@pytest.mark.parametrize("wrapped", [jax.checkpoint, jax.vmap])
def test_borders_of_transformations_are_right(wrapped):
    function, (trainable, fixed, x) = network(bias=True, relu=True, residual=True)
    if wrapped is jax.vmap:
        found = jax.jit(jax.vmap(lambda x: function(trainable, fixed, x)))(x[None])[0]
    else:
        found = jax.jit(jax.checkpoint(function))(trainable, fixed, x)
    assert_close(found, jax.jit(function)(trainable, fixed, x))
