"""The rule of each method that prunes during training, by hand."""

import math

import keras
import numpy as np
import pytest

from keras_ssc import pruning
from keras_ssc.pruning.deep_r import DeepR
from keras_ssc.pruning.dsr import DSR
from keras_ssc.pruning.gradual_magnitude import GradualMagnitude
from keras_ssc.pruning.rewiring import grow_at_random
from keras_ssc.pruning.set import SET

pytestmark = pytest.mark.jax_long


def model_with(kernels, masks=None):
    """Dense layers, one behind the other, with these kernels and masks."""
    layers = [keras.layers.Dense(k.shape[1], name=name) for name, k in kernels.items()]
    model = keras.Sequential([keras.Input((next(iter(kernels.values())).shape[0],)), *layers])
    for layer in model.layers:
        layer.kernel.assign(kernels[layer.name])
    masks = masks or {name: kernel != 0 for name, kernel in kernels.items()}
    sparse = pruning.apply_masks(model, masks)
    sparse.compile(keras.optimizers.SGD(0.1), "mse")
    return sparse


def begin(method, model, steps=100):
    """Bring a callback to where `fit` would bring it."""
    method.set_model(model)
    method.set_params({"epochs": 1, "steps": steps})
    method.on_train_begin()
    return method


def schedule(method):
    steps = []
    while (step := method.next_update(steps[-1] if steps else 0)) < math.inf:
        steps.append(step)
    return steps


def read(model):
    return {name: np.array(layer.kernel) for name, layer in pruning.prunable_layers(model).items()}


@pytest.mark.parametrize("initializer", [None, "ones"])
def test_set_drops_on_both_sides_of_zero(initializer):
    kernel = np.zeros((4, 10), "float32")
    kernel[0] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 5, 6, 7]  # 10 positives: 3 die
    kernel[1, :5] = [-0.01, -0.02, -0.03, -0.04, -9]  # 5 negatives: 1 dies
    mask = kernel != 0
    mask[1, 5] = True  # lives at 0: dies
    model = model_with({"a": kernel}, {"a": mask})
    method = begin(SET(0.3, initializer=initializer), model)
    method.update(10)
    new = pruning.read_masks(model)["a"]
    left = mask.copy()
    left[0, :3] = left[1, 0] = left[1, 5] = False
    assert method.history == [{"step": 10, "live": 16, "dropped": 5, "grown": 5}]
    assert (new & mask == left).all()
    expected = np.where(left, kernel, 0 if initializer is None else new)
    np.testing.assert_array_equal(read(model)["a"], expected)


def test_random_places_are_those_that_were_dead_while_there_are_enough():
    old = {"a": np.arange(12) < 8}
    kept = {"a": np.arange(12) < 3}
    seen = np.zeros(12, int)
    for seed in range(200):
        mask = grow_at_random(kept, old, {"a": 3}, np.random.default_rng(seed))["a"]
        assert mask.sum() == 6
        seen += mask
    assert (seen[:3] == 200).all()
    assert (seen[3:8] == 0).all()
    assert (abs(seen[8:] - 150) < 30).all()
    assert grow_at_random(kept, old, {"a": 9}, np.random.default_rng(0))["a"].all()


def test_the_curve_of_gradual_magnitude_and_its_counts():
    random = np.random.default_rng(0)
    kernels = {"a": random.normal(size=(10, 20)), "b": random.normal(size=(20, 5))}
    masks = {name: np.ones(kernel.shape, bool) for name, kernel in kernels.items()}
    model = model_with(kernels, masks)
    method = begin(GradualMagnitude(0.9, 0.1, update_every=20, start=0.2, stop=0.9), model)
    assert schedule(method) == [20, 40, 60, 80, 90]
    size = np.sort(np.abs(np.concatenate([k.astype("float32").ravel() for k in kernels.values()])))
    for step in schedule(method):
        sparsity = 0.9 + (0.1 - 0.9) * (1 - (step - 20) / (90 - 20)) ** 3
        keep = round((1 - sparsity) * 300)
        method.update(step)
        assert method.history[-1]["live"] == keep
        for name, kernel in read(model).items():
            assert ((np.abs(kernel) >= size[-keep]) == pruning.read_masks(model)[name]).all()
    assert keep == 30
    method.update(20)
    assert pruning.live_weights(model) == 30
    # A layer without a mask counts and stays.
    model = model_with(kernels, {"a": masks["a"]})
    method = begin(GradualMagnitude(0.5), model)
    method.update(50)
    assert method.history[-1]["live"] == 150 - 100


@pytest.mark.parametrize(("small", "threshold"), [(4, 0.2), (8, 0.1), (10, 0.05)])
def test_dsr_s_threshold_and_layers(small, threshold):
    """60 weights live, 8.28 should die: fewer than 7.45 double H, more than 9.1 halve it."""
    a, b = np.zeros((10, 10)), np.zeros((10, 20))
    a.flat[:40], b.flat[:20] = 1, -1
    a.flat[:small] = -0.09
    a.flat[small], b.flat[0] = 0.1, -0.1  # at the threshold: stay
    model = model_with({"a": a, "b": b})
    method = begin(DSR(threshold=0.1000001 - 1e-6), model)
    method.update(10)
    assert method.history == [{"step": 10, "live": 60, "dropped": small, "grown": small}]
    assert method.threshold == pytest.approx(threshold, rel=1e-4)
    survivors = 60 - small
    for name, kernel, left in (("a", a, 40 - small), ("b", b, 20)):
        mask = pruning.read_masks(model)[name]
        assert abs(mask.sum() - left - small * left / survivors) < 1
        new = mask & (kernel == 0)
        assert (read(model)[name][new] == 0).all()
        assert not mask.flat[0] if name == "a" else mask.flat[0]


def test_dsr_leaves_a_layer_its_last_weight_and_slows_down():
    a, b = np.zeros((3, 4)), np.zeros((4, 5))
    a.flat[:6], b[0, :4] = 1e-5, 1
    a[1, 1] = -2e-5
    model = model_with({"a": a, "b": b})
    method = begin(DSR(), model)
    method.update(10)
    assert pruning.read_masks(model)["a"][1, 1]
    # Five die: by their survivors b takes 4 of their places and a takes 1.
    assert method.history == [{"step": 10, "live": 10, "dropped": 5, "grown": 5}]
    method = begin(DSR(update_every=10), model, steps=400)
    assert schedule(method) == [10, 20, 30, 40, 50, 60, 80, 100, 120, 140, 160, 200, 240, 280, 320]


def test_deep_r_s_walk():
    weight = np.random.default_rng(0).choice([-1.0, 1.0], (200, 100))
    weight[100:] = 0
    model = model_with({"a": weight})
    method = begin(DeepR(l1=0.5, temperatures=(0.02, 0), cooling=(0.5,), update_every=2), model)
    assert [method.temperature(step) for step in (0, 49, 50, 99)] == [0.02, 0.02, 0, 0]
    method.update(10)
    moved = (read(model)["a"] - weight)[:100] * weight[:100]
    live = moved[pruning.read_masks(model)["a"][:100]]
    assert live.size == 10000  # at a distance of 10 standard deviations from 0
    # Two steps of eta = 0.1 at once.
    assert live.mean() == pytest.approx(-0.1, abs=4e-3)
    assert live.std() == pytest.approx(math.sqrt(2 * 0.2 * 0.02), rel=0.03)


def test_deep_r_drops_what_changes_its_sign():
    weight = np.zeros((4, 6), "float32")
    weight[:2] = [[1, -1, 1, -1, 1, -1], [-1, 1, -1, 1, -1, 1]]
    model = model_with({"a": weight})
    method = begin(DeepR(l1=0, temperatures=(0,), cooling=()), model)
    stepped = weight.copy()
    stepped[0, 0], stepped[0, 1], stepped[1, 0] = -0.5, 0.5, -0.1  # two signs change
    model.layers[0].kernel.assign(stepped)
    method.update(1)
    mask, found = pruning.read_masks(model)["a"], read(model)["a"]
    assert method.history == [{"step": 1, "live": 12, "dropped": 2, "grown": 2}]
    assert not mask[0, :2].any()
    np.testing.assert_array_equal(found[:2], np.where(mask[:2], stepped[:2], 0))
    born = found[2:][mask[2:]]
    np.testing.assert_allclose(np.abs(born), 1e-12, rtol=1e-6)
    assert (np.sign(born) == method.signs["a"][2:][mask[2:]]).all()
