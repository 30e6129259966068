"""The native kernels inside XLA: all transformations of JAX, and Keras's training."""

import keras
import numpy as np
import pytest

if keras.backend.backend() != "jax":
    pytest.skip("about JAX", allow_module_level=True)

import jax
import jax.numpy as jnp
from jax_cases import (
    PATTERN,
    assert_close,
    convolution,
    gradient,
    native_model,
    normalization,
    portable_model,
)

pytestmark = [pytest.mark.jax, pytest.mark.usefixtures("compiler")]


def slope(function):
    """A scalar made of the first derivatives."""
    return lambda *a: sum(jnp.sum(jnp.cos(g)) for g in jax.tree.leaves(gradient(function)(*a)))


def along(function):
    def derivative(*a):
        tangents = jax.tree.map(lambda array: jnp.cos(array + 1), a)
        return jax.jvp(function, a, tangents)[1]

    return derivative


WAYS = {
    "eager": lambda f: lambda *a: (f(*a), gradient(f)(*a)),
    "jit": lambda f: jax.jit(jax.value_and_grad(f, (0, 1, 2, 3))),
    "forward mode": lambda f: jax.jit(along(f)),
    "forward over reverse": lambda f: jax.jit(along(gradient(f))),
    "reverse over forward": lambda f: jax.jit(gradient(along(f))),
    "second": lambda f: jax.jit(gradient(slope(f))),
    "checkpoint": lambda f: jax.jit(gradient(jax.checkpoint(f))),
}


# Without an activation two ways run with every change: it is one operation more.
PAIRS = [
    pytest.param(way, relu, marks=[] if relu or way in ("jit", "second") else pytest.mark.campaign)
    for way in WAYS
    for relu in (True, False)
]


@pytest.mark.parametrize(("way", "relu"), PAIRS)
@pytest.mark.parametrize("case", [convolution, normalization])
def test_derivatives_of_all_kinds(case, way, relu):
    loss, arguments = case("native", relu)
    found = WAYS[way](loss)(*arguments)
    loss, arguments = case("dense", relu)
    # In float32 the portable form, too, is off by as much as the tolerance, where terms cancel.
    arguments = jax.tree.map(lambda array: array.astype(jnp.float64), arguments)
    assert_close(found, WAYS[way](loss)(*arguments), tolerance=2e-4 if way == "second" else 2e-5)


def test_third_derivatives_of_the_convolution():
    results = []
    for form in ("native", "dense"):
        loss, arguments = convolution(form, relu=True)
        results.append(jax.jit(gradient(slope(slope(loss))))(*arguments))
    assert_close(*results, tolerance=1e-3)


@pytest.mark.parametrize("mapped", ["x", "weights", "bias", "residual", "x and residual", "all"])
@pytest.mark.parametrize("case", [convolution, normalization])
def test_vmap(case, mapped):
    names = ("x", "weights", "bias", "residual")
    axes = tuple(1 if name in mapped or mapped == "all" else None for name in names)
    results = []
    for form in ("native", "dense"):
        loss, arguments = case(form, relu=True)
        several = [
            argument if axis is None else jax.tree.map(lambda a: jnp.stack([a, 2 - a], 1), argument)
            for argument, axis in zip(arguments, axes, strict=True)
        ]
        function = jax.vmap(lambda *a, f=loss: (f(*a), gradient(f)(*a)), axes)
        results.append(jax.jit(function)(*several))
    assert_close(*results, tolerance=2e-5)


def test_mapped_images_become_one_batch():
    loss, (x, *others) = convolution("native", relu=False)
    mapped = jax.vmap(loss, (0, None, None, None))
    jaxpr = str(jax.make_jaxpr(mapped)(jnp.stack([x, x]), *others))
    assert jaxpr.count("keras_ssc_convolution") == 1
    assert "scan" not in jaxpr


def test_donated_arguments_and_repeated_runs():
    loss, arguments = convolution("native", relu=True)
    step = jax.jit(gradient(loss), donate_argnums=0)
    first = step(jnp.array(arguments[0]), *arguments[1:])
    for _ in range(30):
        again = step(jnp.array(arguments[0]), *arguments[1:])
        for a, b in zip(jax.tree.leaves(again), jax.tree.leaves(first), strict=True):
            np.testing.assert_array_equal(a, b)


def test_empty_batch_in_the_native_call():
    from keras_ssc.native.jax_convolution import Geometry
    from keras_ssc.native.jax_convolution import convolve as call

    geometry = Geometry(PATTERN, (1, 1), "same", (1, 1), lanes=0, slices=0)
    _, (_, weights, *_) = convolution("native", relu=False)

    def total(x, weights):
        return jnp.sum(call(x, weights, geometry, None, None, False))

    value, (dx, gradients) = jax.jit(jax.value_and_grad(total, (0, 1)))(
        jnp.zeros((0, 7, 9, 16), "float32"), weights
    )
    assert value == 0
    assert dx.shape == (0, 7, 9, 16)
    assert all((matrix == 0).all() for matrix in gradients)


def test_fit_evaluate_and_predict_equal_the_dense_form():
    random = np.random.default_rng(0)
    x, y = random.normal(size=(20, 8, 8, 16)), random.normal(size=(20, 3))
    results = []
    for make in (native_model, portable_model):
        model = make()
        history = model.fit(x, y, batch_size=8, epochs=3, shuffle=False, verbose=0).history
        results.append(
            [history["loss"], model.evaluate(x, y, verbose=0), model.predict(x, verbose=0)]
        )
        results[-1] += model.get_weights()
    assert_close(*results, tolerance=2e-5)
    assert native_model().layers[1].execution_report()["used"] == "native"


def test_what_is_not_there_is_refused_by_name(monkeypatch):
    from keras_ssc.native import build

    monkeypatch.setattr(build, "load", lambda: (None, "no C++ compiler (g++) was found"))
    loss, arguments = convolution("native", relu=True)
    with pytest.raises(RuntimeError, match="no native operations: no C"):
        loss(*arguments)
