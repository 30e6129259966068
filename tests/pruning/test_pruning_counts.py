"""Masks of every method: exact counts; chance and magnitude against slow references."""

import keras
import numpy as np
import pytest

from keras_ssc import pruning
from keras_ssc.pruning._grasp import grasp
from keras_ssc.pruning._magnitude import magnitude
from keras_ssc.pruning._snip import snip
from keras_ssc.pruning._synflow import synflow
from keras_ssc.pruning.layer_counts import erk_counts, smart_ratio_counts, uniform_counts
from keras_ssc.pruning.masks import kernels
from keras_ssc.pruning.optimal_brain_damage import obd
from keras_ssc.pruning.random import random_erk, random_uniform, smart_ratio
from keras_ssc.pruning.samples import samples_per_class

pytestmark = pytest.mark.jax_long


def data():
    random = np.random.default_rng(0)
    return random.normal(size=(12, 4, 4, 3)).astype("float32"), random.integers(0, 3, 12)


def network():
    """One layer of each kind: 162 + 54 + 48 + 24 weights."""
    return keras.Sequential(
        [
            keras.Input((4, 4, 3)),
            keras.layers.Conv2D(6, 3, padding="same", name="conv"),
            keras.layers.BatchNormalization(),
            keras.layers.DepthwiseConv2D(3, padding="same", activation="relu", name="depthwise"),
            keras.layers.Conv2D(8, 1, name="pointwise"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3, activation="softmax", name="classifier"),
        ]
    )


SIZES = {"conv": 162, "depthwise": 54, "pointwise": 48, "classifier": 24}


def same(first, second):
    return set(first) == set(second) and all((first[name] == second[name]).all() for name in first)


METHODS = {
    "uniform": random_uniform,
    "erk": random_erk,
    "smart_ratio": smart_ratio,
    "smart_ratio_vgg": lambda *args, **kwargs: smart_ratio(*args, vgg=True, **kwargs),
    "magnitude": magnitude,
    "magnitude_per_layer": lambda *args, **kwargs: magnitude(*args, scope="layer", **kwargs),
    "magnitude_per_filter": lambda *args, **kwargs: magnitude(*args, scope="filter", **kwargs),
    "snip": lambda model, *args, **kwargs: snip(model, *data(), *args, **kwargs),
    "grasp": lambda model, *args, **kwargs: grasp(model, *data(), *args, **kwargs),
    "synflow": lambda *args, **kwargs: synflow(*args, rounds=3, **kwargs),
    "obd": lambda model, *args, **kwargs: obd(model, data()[0], *args, **kwargs),
}


# The others compile for seconds at each call.
CHEAP = (
    "uniform",
    "erk",
    "smart_ratio",
    "smart_ratio_vgg",
    "magnitude",
    "magnitude_per_layer",
    "magnitude_per_filter",
)
CASES = [(name, {"sparsity": s}) for name in CHEAP for s in (0, 0.333, 0.9, 0.95)] + [
    *[(name, {"keep": keep}) for name in CHEAP for keep in (8, 287)],
    *[(name, {"sparsity": 0.9}) for name in METHODS if name not in CHEAP],
]


@pytest.mark.parametrize(("method", "arguments"), CASES, ids=str)
def test_counts_are_exact_and_the_model_is_not_touched(method, arguments):
    model = network()
    before = [array.copy() for array in model.get_weights()]
    masks = METHODS[method](model, **arguments)
    keep = arguments.get("keep", round((1 - arguments.get("sparsity", 0)) * 288))
    assert sum(mask.sum() for mask in masks.values()) == keep
    assert pruning.live_weights(pruning.apply_masks(model, masks)) == keep
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("method", METHODS)
def test_dense_layers_count_and_get_no_mask(method):
    masks = METHODS[method](network(), 0.5, dense=("depthwise",))
    assert list(masks) == ["conv", "pointwise", "classifier"]
    assert sum(mask.sum() for mask in masks.values()) == 144 - 54


@pytest.mark.parametrize("sparsity", [0.1, 0.4, 0.7, 0.9])
def test_erk_against_a_bisection(sparsity):
    model = network()
    raw = {"conv": (3 + 6 + 3 + 3) / 162, "depthwise": (6 + 1 + 3 + 3) / 54}
    raw |= {"pointwise": (6 + 8 + 1 + 1) / 48, "classifier": (8 + 3) / 24}

    def counts(e):
        return {name: min(1, e * raw[name]) * SIZES[name] for name in SIZES}

    low, high, keep = 0.0, 1e3, round((1 - sparsity) * 288)
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if sum(counts(middle).values()) < keep else (low, middle)
    found, expected = erk_counts(model, sparsity), counts(low)
    assert sum(found.values()) == keep
    assert all(abs(found[name] - expected[name]) < 1 for name in SIZES)


def test_uniform_counts_have_one_density():
    found = uniform_counts(network(), keep=29)
    assert sum(found.values()) == 29
    assert all(abs(found[name] - SIZES[name] * 29 / 288) < 1 for name in SIZES)


@pytest.mark.parametrize("vgg", [False, True])
@pytest.mark.parametrize("sparsity", [0.3, 0.6, 0.9])
def test_smart_ratio_against_the_rule_of_its_code(sparsity, vgg):
    widths = [8, 8, 16, 16, 12]
    model = keras.Sequential(
        [keras.Input((2, 2, 4))]
        + [keras.layers.Conv2D(width, 1, name=f"conv{i}") for i, width in enumerate(widths)]
        + [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(5, name="classifier")]
    )
    sizes = np.array([32, 64, 128, 256, 192, 60])
    ratio = np.array([k**2 + k for k in (6, 5, 4, 3, 2)], float)
    if vgg:
        ratio /= np.arange(1, 6) ** 2
    keep = round((1 - sparsity) * sizes.sum())
    ratio *= (keep - 0.3 * 60) / (ratio * sizes[:5]).sum()
    extra = 0.0
    for i in range(5):
        room = (1 - ratio[i]) * sizes[i]
        if room < 0:
            ratio[i], extra = 1, extra - room
        else:
            ratio[i], extra = ratio[i] + min(extra, room) / sizes[i], extra - min(extra, room)
    found = smart_ratio_counts(model, sparsity, vgg=vgg)
    assert sum(found.values()) == keep
    for i, name in enumerate(found):
        assert abs(found[name] - (0.3 if i == 5 else ratio[i]) * sizes[i]) < 1
    with pytest.raises(ValueError, match="30 %"):
        smart_ratio_counts(model, keep=17)


def test_chance_decides_and_the_seed_repeats_it():
    model = network()
    hits = dict.fromkeys(kernels(model), 0.0)
    for seed in range(400):
        masks = random_uniform(model, 0.75, seed=seed)
        assert seed or same(masks, random_uniform(model, 0.75))
        hits = {name: hits[name] + masks[name] for name in hits}
    sigma = np.sqrt(400 * 0.25 * 0.75)
    assert all((np.abs(found - 100) < 5 * sigma).all() for found in hits.values())


def test_magnitude_against_sorting():
    model = network()
    found = magnitude(model, keep=50)
    smallest = min(
        np.abs(kernels(model)[name])[mask].min() for name, mask in found.items() if mask.any()
    )
    flat = np.concatenate([np.abs(kernel).ravel() for kernel in kernels(model).values()])
    assert smallest == np.sort(flat)[-50]
    for name, mask in magnitude(model, 0.5, scope="layer").items():
        weights = np.abs(kernels(model)[name])
        assert mask.sum() * 2 == mask.size
        assert weights[mask].min() >= weights[~mask].max()
    with pytest.raises(ValueError, match="`scope`"):
        magnitude(model, 0.5, scope="all")


@pytest.mark.parametrize("sparsity", [0.3, 0.77, 0.95])
def test_magnitude_per_filter_against_sorting(sparsity):
    """Every filter has its largest weights, equally many or one more: the larger next ones."""
    model = network()
    counts = pruning.uniform_counts(model, sparsity)
    for name, mask in magnitude(model, sparsity, scope="filter").items():
        weights = np.abs(kernels(model)[name])
        if name == "depthwise":  # a filter for each channel and multiplier
            mask, weights = (one.reshape(9, -1) for one in (mask, weights))
        each, odd = divmod(counts[name], mask.shape[-1])
        following = []
        for filter in range(mask.shape[-1]):
            kept, all = weights[..., filter][mask[..., filter]], np.sort(weights[..., filter], None)
            assert sorted(kept) == list(all[len(all) - len(kept) :])
            assert len(kept) in (each, each + 1)
            following.append((all[len(all) - each - 1], len(kept) - each) if odd else (0, 0))
        longer = [more for _, more in sorted(following, reverse=True)]
        assert longer == [1] * odd + [0] * (len(longer) - odd)


@pytest.mark.parametrize(("n", "m"), [(2, 4), (1, 2), (3, 8)])
def test_semi_structured_against_a_loop(n, m):
    model = keras.Sequential([
        keras.Input((4, 4, 3)), keras.layers.Conv2D(16, 3, name="stem"),
        keras.layers.DepthwiseConv2D(2, name="depthwise"), keras.layers.Conv2D(8, 1, name="conv"),
        keras.layers.Flatten(), keras.layers.Dense(5, name="dense"),
        keras.layers.Dense(2, name="last"),
    ])  # fmt: skip
    masks = pruning.semi_structured(model, n, m)
    assert set(masks) == {"conv", "dense"}
    for name, mask in masks.items():
        weights = kernels(model)[name]
        live, shape = mask.reshape(-1, *mask.shape[-2:]), weights.shape
        weights = np.abs(weights).reshape(-1, *shape[-2:])
        for tap, first, filter in np.ndindex(len(weights), shape[-2] // m, shape[-1]):
            group = slice(m * first, m * first + m)
            largest = sorted(range(m), key=lambda i: -weights[tap, group, filter][i])[:n]
            assert sorted(np.flatnonzero(live[tap, group, filter])) == sorted(largest)
    assert set(pruning.semi_structured(model, n, m, dense=["conv"])) == {"dense"}
    masked = pruning.apply_masks(model, masks)
    assert same(pruning.read_masks(masked), masks)


def test_semi_structured_refusals():
    model = network()  # 3, 6 and 8 input channels
    with pytest.raises(ValueError, match=r"`n` must be less than `m`. Received: n=4, m=4"):
        pruning.semi_structured(model, 4)
    with pytest.raises(ValueError, match=r"`m` must divide the input channels .*m=5, .*'conv': 3"):
        pruning.semi_structured(model, 2, 5)
    with pytest.raises(ValueError, match=r"`dense` must name prunable layers. Unknown: \['x'\]"):
        pruning.semi_structured(model, dense=["x"])


def test_no_masks_are_masks_that_are_all_true():
    model = network()
    masked = pruning.apply_masks(model)
    assert {name: int(mask.sum()) for name, mask in pruning.read_masks(masked).items()} == SIZES


@pytest.mark.parametrize("method", ["snip", "grasp", "synflow", "magnitude"])
def test_an_interspace_model_gets_the_same_masks(method):
    model = network()
    all_live = {name: np.ones(kernel.shape, bool) for name, kernel in kernels(model).items()}
    interspace = pruning.apply_masks(model, all_live, interspace=True)
    masks = METHODS[method](model, 0.8)
    assert same(masks, METHODS[method](interspace, 0.8))
    found = pruning.apply_masks(model, masks, interspace=True)
    assert same(masks, pruning.read_masks(found))


def test_samples_are_of_every_class():
    images, labels = np.arange(60)[:, None], np.arange(60)[:, None] % 3
    found, found_labels = samples_per_class(images, labels, 4, seed=2)
    assert found.shape == found_labels.shape == (12, 1)
    assert (found % 3 == found_labels).all()
    assert len(np.unique(found)) == 12
    assert np.bincount(found_labels[:, 0]).tolist() == [4, 4, 4]
    assert (np.diff(found_labels[:, 0]) < 0).any()  # not in the order of classes
    np.testing.assert_array_equal(found, samples_per_class(images, labels, 4, seed=2)[0])
    assert (found != samples_per_class(images, labels, 4, seed=3)[0]).any()
    with pytest.raises(ValueError, match="class 0 has 20"):
        samples_per_class(images, labels, 21)
    with pytest.raises(ValueError, match="as many"):
        samples_per_class(images, labels[1:], 2)
    with pytest.raises(ValueError, match="as many"):
        snip(network(), data()[0], data()[1][1:], 0.5)
