"""Batch normalisation and max pooling on JAX, as XLA computes them where there is no kernel."""

import itertools

import keras
import numpy as np
import pytest

if keras.backend.backend() != "jax":
    pytest.skip("about JAX", allow_module_level=True)

import jax
import jax.numpy as jnp
from jax.test_util import check_grads

from keras_ssc.layers import FusedBatchNormalization
from keras_ssc.layers.channel_wise import MaxPooling2D
from keras_ssc.native import jax_normalization, jax_pooling

pytestmark = pytest.mark.jax
SHAPE = (4, 6, 5, 24)
# What values and gradients may differ by, relative to the largest: a step of each type.
STEPS = {"mixed_bfloat16": 2**-8, "mixed_float16": 2**-10, "bfloat16": 2**-8, "float32": 2e-5}


def arrays(dtype, shape=SHAPE):
    """(x with a mean of its own in each channel, residual, dy)."""
    random = np.random.default_rng(0)
    offset = random.normal(size=shape[-1]) * 10
    return [jnp.asarray(random.normal(size=shape) + more, dtype) for more in (offset, 0, 0)]


def results(layer, function, x, residual, dy):
    """y, the moving statistics, and the gradients by x, residual, gamma and beta."""
    layer.build(x.shape)
    random = np.random.default_rng(1)
    layer.set_weights([random.uniform(0.5, 2, x.shape[-1]) for _ in range(4)])
    fixed = [variable.value for variable in layer.non_trainable_variables]

    def run(trainable, x, residual):
        y, updated = layer.stateless_call(trainable, fixed, x, training=True, **function(residual))
        return y, updated

    def loss(*arguments):
        y, updated = run(*arguments)
        y = layer.chain(y, arguments[2])
        return jnp.sum((y * dy).astype("float32")), (y, updated)

    trainable = [variable.value for variable in layer.trainable_variables]
    gradients, found = jax.jit(jax.grad(loss, argnums=(0, 1, 2), has_aux=True))(
        trainable, x, residual
    )
    return jax.tree.leaves((found, gradients))


class Keras(keras.layers.BatchNormalization):
    """Keras's chain of layers."""

    def __init__(self, activation, with_residual, **more):
        super().__init__(**more)
        self.own = (activation, with_residual)

    def chain(self, y, residual):
        activation, with_residual = self.own
        y = y + residual if with_residual else y
        return jax.nn.relu(y) if activation else y


class Ours(FusedBatchNormalization):
    def chain(self, y, _):
        return y


@pytest.mark.parametrize("with_residual", [True, False])
@pytest.mark.parametrize("activation", ["relu", None])
@pytest.mark.parametrize("policy", STEPS)
def test_normalisation_equals_keras(policy, activation, with_residual, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")  # which has no kernel of it
    x, residual, dy = arrays(keras.DTypePolicy(policy).compute_dtype)
    ours = results(
        Ours(activation=activation, dtype=policy),
        lambda residual: {"residual": residual if with_residual else None},
        x, residual, dy,
    )  # fmt: skip
    theirs = results(Keras(activation, with_residual, dtype=policy), lambda _: {}, x, residual, dy)
    for one, other in zip(ours, theirs, strict=True):
        assert one.dtype == other.dtype
        one, other = (np.asarray(array, "float64") for array in (one, other))
        scale = max(np.abs(other).max(), 1e-3)
        np.testing.assert_allclose(one / scale, other / scale, rtol=0, atol=STEPS[policy])


def test_programs_hold_the_primitive_and_no_scatter(monkeypatch):
    """In a program for a GPU."""
    layer, pool = FusedBatchNormalization(activation="relu"), MaxPooling2D(2)
    layer.build(SHAPE)

    def program(layer):
        gradient = jax.grad(lambda x: pool(layer(x, training=True)).astype("float32").sum())
        return str(jax.make_jaxpr(gradient)(jnp.zeros(SHAPE, layer.compute_dtype)))

    with keras.StatelessScope():
        monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
        text = program(layer)
    assert "keras_ssc_batch_norm_gradient" in text
    assert "scatter" not in text


@pytest.mark.parametrize("shape", [(5, 3), (3, 2, 2, 4), (600, 7, 4), (0, 4, 4, 2)])
def test_two_sums_in_one_step_and_in_two(shape):
    one, other = np.random.default_rng(0).integers(-9, 9, (2, *shape)).astype("float32")
    axes = tuple(range(len(shape) - 1))
    for sums in (jax_normalization._two_sums, jax.jit(jax_normalization._two_sums)):
        for found, array in zip(sums(one, other), (one, other), strict=True):
            np.testing.assert_array_equal(found, array.sum(axes))


@pytest.mark.parametrize("mean", [0.0, 1e3, -1e4])
def test_moments_of_channels_far_from_zero(mean):
    x = np.random.default_rng(0).normal(size=(64, 9, 9, 5)) + mean
    x = x.astype("float32")
    found = jax.jit(jax_normalization._moments)(x)
    expected = x.mean((0, 1, 2), dtype="float64"), x.var((0, 1, 2), dtype="float64")
    for one, other in zip(found, expected, strict=True):
        # Sums of 5,184 float32. Without a shift the last variances would be off by 4 and by 250.
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=2e-5)


def test_constant_channels_and_empty_batches():
    x = jnp.full((3, 4, 4, 2), 7e3)
    mean, variance = jax_normalization._moments(x)
    np.testing.assert_array_equal(mean, [7e3, 7e3])
    np.testing.assert_array_equal(variance, [0, 0])
    layer = FusedBatchNormalization(dtype="mixed_bfloat16")
    assert layer(jnp.zeros((0, 4, 4, 2), "bfloat16"), training=True).shape == (0, 4, 4, 2)


@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize("with_residual", [True, False])
def test_derivatives_of_the_portable_normalisation(relu, with_residual):
    """To the second order, in both modes, in float64, which no kernel computes."""
    x, residual, _ = arrays("float64", (3, 4, 3, 4))
    vectors = jnp.asarray(np.random.default_rng(2).uniform(0.5, 2, (2, 4)))
    given = [x, *vectors, *([residual] if with_residual else [])]

    def function(x, gamma, beta, residual=None):
        return jax_normalization.batch_norm(x, gamma, beta, residual, relu, 1e-3)[0]

    axes = (0, 1, 2)
    normal = (x - x.mean(axes)) / np.sqrt(x.var(axes) + 1e-3)
    expected = normal * vectors[0] + vectors[1] + (residual if with_residual else 0)
    expected = np.maximum(expected, 0) if relu else expected
    np.testing.assert_allclose(function(*given), expected, rtol=0, atol=1e-13)
    check_grads(function, given, order=2, eps=1e-6)


def test_mapped_normalisation_is_one_program_without_a_loop(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    layer = FusedBatchNormalization(activation="relu", dtype="float64")
    x = jnp.stack([arrays("float64")[0], 2 + arrays("float64")[1]], axis=1)
    layer.build(SHAPE)

    def gradient(x):
        with keras.StatelessScope():
            return jax.grad(lambda x: jnp.sum(layer(x, training=True) ** 2))(x)

    mapped = jax.jit(jax.vmap(gradient, in_axes=1))
    alone = jax.jit(gradient)
    for one, own in zip(mapped(x), jnp.moveaxis(x, 1, 0), strict=True):
        np.testing.assert_allclose(one, alone(own), atol=1e-9)
    assert "scan" not in str(jax.make_jaxpr(mapped)(x))

    def total(x):
        with keras.StatelessScope():
            y = jax.vmap(lambda x: layer(x, training=True), in_axes=1)(x)
        return jnp.sum(y**2)

    outside = jax.jit(jax.grad(total))(x)
    for one, own in zip(jnp.moveaxis(outside, 1, 0), mapped(x), strict=True):
        np.testing.assert_allclose(one, own, atol=1e-9)


def pooled(x, dy, size, strides, padding):
    """Maxima and their gradient by loops over windows, in NumPy; the first maximum has it."""
    pads = [(0, 0), (0, 0)]
    counts = [(n - k) // s + 1 for n, k, s in zip(x.shape[1:3], size, strides, strict=True)]
    if padding == "same":
        counts = [-(-n // s) for n, s in zip(x.shape[1:3], strides, strict=True)]
        axes = zip(counts, strides, size, x.shape[1:3], strict=True)
        total = [max((count - 1) * step + k - n, 0) for count, step, k, n in axes]
        pads = [(t // 2, t - t // 2) for t in total]
    padded = np.pad(x, [(0, 0), *pads, (0, 0)], constant_values=-np.inf)
    y, dx = np.empty((x.shape[0], *counts, x.shape[3])), np.zeros(padded.shape)
    for image, row, column, channel in np.ndindex(y.shape):
        top, left = row * strides[0], column * strides[1]
        window = padded[image, top : top + size[0], left : left + size[1], channel]
        first = np.unravel_index(window.argmax(), window.shape)
        y[image, row, column, channel] = window[first]
        if dy is not None:
            dx[image, top + first[0], left + first[1], channel] += dy[image, row, column, channel]
    (top, _), (left, _) = pads
    return y, dx[:, top : top + x.shape[1], left : left + x.shape[2]]


MANY = ((17, 16), (2, 3))  # places that no byte numbers
WINDOWS = [
    MANY,
    ((2, 2), (2, 2)),
    ((3, 3), (2, 2)),
    ((3, 2), (1, 3)),
    ((1, 1), (2, 2)),
    ((2, 2), (3, 3)),
]


@pytest.mark.parametrize("shape", [(2, 8, 8, 3), (1, 7, 9, 2)])
@pytest.mark.parametrize(("size", "strides"), WINDOWS)
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_pooling_equals_a_loop_and_keras(padding, size, strides, shape):
    """With many equal values: which of them has the gradient is XLA's choice, the first."""
    shape = (1, 19, 17, 2) if (size, strides) == MANY else shape
    random = np.random.default_rng(0)
    x = np.maximum(random.integers(-3, 4, shape), 0).astype("float32")
    y, _ = pooled(x, None, size, strides, padding)
    dy = random.integers(-9, 9, y.shape).astype("float32")
    expected = pooled(x, dy, size, strides, padding)
    of_keras = jax.vjp(lambda x: keras.ops.max_pool(x, size, strides, padding), x)
    of_ours = jax.vjp(lambda x: jax_pooling.max_pool(x, size, strides, padding), x)
    for found, backwards in (of_ours, of_keras):
        np.testing.assert_array_equal(found, expected[0])
        np.testing.assert_array_equal(backwards(dy)[0], expected[1])


def test_pooling_in_both_modes_mapped_and_with_infinities():
    x = jnp.asarray(np.random.default_rng(0).permutation(2 * 8 * 8 * 3).reshape(2, 8, 8, 3) / 10.0)

    def pool(x):
        return jax_pooling.max_pool(x, (3, 3), (2, 2), "same")

    check_grads(pool, (x,), order=2, eps=1e-3)
    np.testing.assert_array_equal(jax.vmap(pool)(x[:, None])[:, 0], pool(x))
    x = x.at[0, 0].set(-jnp.inf).at[0, 3].set(jnp.inf)
    np.testing.assert_array_equal(pool(x), keras.ops.max_pool(x, 3, 2, "same"))
    assert np.isnan(pool(x.at[1, 1, 1, 1].set(jnp.nan))[1, 0, 0, 1])


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_pooling_layer_has_kerass_arguments(padding):
    x = arrays("float32", (2, 9, 8, 3))[0]
    for size, strides in itertools.product((2, (3, 2)), (None, 1, (2, 3))):
        ours = MaxPooling2D(size, strides, padding)
        theirs = keras.layers.MaxPooling2D(size, strides, padding)
        np.testing.assert_array_equal(ours(x), theirs(x))
