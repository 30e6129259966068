"""RigL: its dense gradient, and its rule by hand."""

import math

import keras
import numpy as np
import pytest
from test_pruning_during_rules import begin, model_with, read, schedule

from keras_ssc import pruning
from keras_ssc.pruning.rigl import RigL, dense_gradients

pytestmark = pytest.mark.jax


def small_network():
    """Made of what Keras computes in float64 on JAX too: no convolution, normalisation or tanh."""
    layers = [
        keras.layers.Dense(5, activation="leaky_relu", name="first", dtype="float64"),
        keras.layers.Dense(3, activation="leaky_relu", name="second", dtype="float64"),
        keras.layers.Dense(2, activation="softmax", name="classifier", dtype="float64"),
    ]
    return keras.Sequential([keras.Input((4,), dtype="float64"), *layers])


def test_the_dense_gradient_is_that_of_finite_differences():
    random = np.random.default_rng(0)
    x, y = random.normal(size=(6, 4)), random.integers(0, 2, 6)
    weight = random.random(6)
    model = small_network()
    masks = {
        name: random.random(layer.kernel.shape) < 0.7
        for name, layer in pruning.prunable_layers(model).items()
    }
    sparse = pruning.apply_masks(model, masks)
    sparse.compile(keras.optimizers.SGD(0.5), "sparse_categorical_crossentropy")
    gradient = dense_gradients(sparse)
    gradient(x, y, weight)
    # Everything changes: a gradient that kept what it saw first would be wrong.
    sparse.fit(x, y, epochs=2, verbose=0)
    found = gradient(x, y, weight)
    dense = pruning.remove_masks(sparse)

    def loss():
        chance = np.array(dense(x, training=True), "float64")
        return np.mean(-np.log(chance[np.arange(6), y]) * weight)

    for name, layer in pruning.prunable_layers(dense).items():
        kernel = np.array(layer.kernel)
        expected = np.zeros_like(kernel)
        for place in np.ndindex(kernel.shape):
            sides = []
            for shift in (1e-4, -1e-4):
                moved = kernel.copy()
                moved[place] += shift
                layer.kernel.assign(moved)
                sides.append(loss())
            layer.kernel.assign(kernel)
            expected[place] = (sides[0] - sides[1]) / 2e-4
        assert np.abs(expected[~masks[name]]).max() > 1e-3
        np.testing.assert_allclose(found[name], expected, atol=1e-6)


def test_the_dense_gradient_writes_nothing_and_is_that_of_a_training_step():
    layers = [
        keras.layers.Conv2D(3, 2, name="conv"),
        keras.layers.BatchNormalization(),
        keras.layers.DepthwiseConv2D(2, name="depthwise", depthwise_regularizer="l2"),
        keras.layers.Dropout(0.5, seed=1),
        keras.layers.Flatten(),
        keras.layers.Dense(2, name="classifier"),
    ]
    model = keras.Sequential([keras.Input((4, 4, 2)), *layers])
    random = np.random.default_rng(0)
    masks = {
        name: random.random(layer.kernel.shape) < 0.5
        for name, layer in pruning.prunable_layers(model).items()
    }
    sparse = pruning.apply_masks(model, masks)
    sparse.compile(keras.optimizers.SGD(0.25), "mse")
    x, y = random.normal(size=(6, 4, 4, 2)).astype("float32"), np.ones((6, 2), "float32")
    before, kernels = [np.array(v) for v in sparse.variables], read(sparse)
    found = dense_gradients(sparse)(x, y)
    for old, new in zip(before, sparse.variables, strict=True):
        np.testing.assert_array_equal(old, np.array(new))
    # Plain SGD moves the live weights by the gradient.
    sparse.fit(x, y, batch_size=6, shuffle=False, verbose=0)
    for name, kernel in read(sparse).items():
        moved = (kernels[name] - kernel)[masks[name]] / 0.25
        np.testing.assert_allclose(found[name][masks[name]], moved, atol=1e-5)
        assert (found[name][~masks[name]] != 0).any()


def test_rigl_drops_the_smallest_and_grows_where_the_gradient_is_largest():
    random = np.random.default_rng(0)
    kernels = {"a": random.normal(size=(6, 5)), "b": random.normal(size=(5, 4))}
    masks = {name: random.random(kernel.shape) < 0.5 for name, kernel in kernels.items()}
    slopes = {name: random.normal(size=kernel.shape) for name, kernel in kernels.items()}
    model = model_with(kernels, masks)
    rigl = begin(RigL((np.zeros((4, 6)), np.zeros((4, 4))), batch_size=2), model)
    rigl.gradient = lambda x, y: slopes
    old = read(model)
    rigl.update(25)
    share = 0.15 * (1 + math.cos(math.pi * 25 / 75))
    for name, mask in masks.items():
        live = [place for place in np.ndindex(mask.shape) if mask[place]]
        live.sort(key=lambda place: abs(old[name][place]))
        dropped = live[: math.floor(share * len(live))]
        assert dropped
        dead = [place for place in np.ndindex(mask.shape) if not mask[place]] + dropped
        dead.sort(key=lambda place: -abs(slopes[name][place]))
        expected = np.zeros(mask.shape, bool)
        for place in live[len(dropped) :] + dead[: len(dropped)]:
            expected[place] = True
        assert (pruning.read_masks(model)[name] == expected).all()
        # What lives on keeps its value, also where it was dropped and grown at once.
        expected = np.where(expected & mask, old[name], 0)
        np.testing.assert_array_equal(read(model)[name], expected)


def test_rigl_s_share_and_batches():
    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 5

        def __getitem__(self, index):
            return np.full((2, 3), index), np.full(2, index)

    x = np.arange(20.0)[:, None]
    rigl = begin(RigL((x, -x), batch_size=7, update_every=10), model_with({"a": np.ones((1, 2))}))
    assert schedule(rigl) == [10, 20, 30, 40, 50, 60, 70]
    assert rigl.share(0) == 0.3
    assert rigl.share(75) == pytest.approx(0)
    assert rigl.share(37.5) == pytest.approx(0.15)
    assert RigL((x, x), anneal=False).share(50) == 0.3
    batches = [rigl.batch(step) for step in (10, 20, 10)]
    assert all(len(set(batch[0].ravel())) == 7 for batch in batches)
    assert all((batch[0] == -batch[1]).all() for batch in batches)
    np.testing.assert_array_equal(batches[0], batches[2])
    assert (batches[0][0] != batches[1][0]).any()
    drawn = {int(RigL(Batches(workers=1)).batch(step)[1][0]) for step in range(60)}
    assert drawn == set(range(5))
