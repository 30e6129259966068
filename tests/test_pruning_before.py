"""Masks before training: the scores against slow references, the counts exact."""

import keras
import numpy as np
import pytest

import keras_ssc
from keras_ssc import pruning
from keras_ssc.native import why_not_native_operations
from keras_ssc.pruning.grasp import grasp, grasp_scores
from keras_ssc.pruning.layer_counts import erk_counts, smart_ratio_counts, uniform_counts
from keras_ssc.pruning.magnitude import magnitude
from keras_ssc.pruning.masks import kernels
from keras_ssc.pruning.optimal_brain_damage import obd
from keras_ssc.pruning.random import random_erk, random_uniform, smart_ratio
from keras_ssc.pruning.samples import samples_per_class
from keras_ssc.pruning.snip import snip, snip_scores
from keras_ssc.pruning.synflow import synflow, synflow_scores

pytestmark = pytest.mark.backends

LOSS = "sparse_categorical_crossentropy"


def data():
    random = np.random.default_rng(0)
    return random.normal(size=(12, 4, 4, 3)).astype("float32"), random.integers(0, 3, 12)


def network(last="softmax", dtype="float32", normal=True, bias=True):
    """One layer of each kind."""
    options = {"dtype": dtype, "use_bias": bias}
    layers = [
        keras.Input((4, 4, 3), dtype=dtype),
        keras.layers.Conv2D(6, 3, padding="same", name="conv", **options),
        keras.layers.DepthwiseConv2D(3, padding="same", name="depthwise", **options),
        keras.layers.Activation("tanh" if dtype == "float64" else "relu", dtype=dtype),
        keras.layers.Conv2D(8, 1, name="pointwise", **options),
        keras.layers.GlobalAveragePooling2D(dtype=dtype),
        keras.layers.Dense(3, activation=last, name="classifier", **options),
    ]
    if normal:
        layers.insert(2, keras_ssc.layers.BatchNormalization(dtype=dtype))
    return keras.Sequential(layers)


def all_live(model):
    return {name: np.ones(kernel.shape, bool) for name, kernel in kernels(model).items()}


def same(first, second):
    return set(first) == set(second) and all((first[name] == second[name]).all() for name in first)


METHODS = {
    "uniform": random_uniform,
    "erk": random_erk,
    "smart_ratio": smart_ratio,
    "smart_ratio_vgg": lambda *args, **kwargs: smart_ratio(*args, vgg=True, **kwargs),
    "magnitude": magnitude,
    "magnitude_per_layer": lambda *args, **kwargs: magnitude(*args, scope="layer", **kwargs),
    "snip": lambda model, *args, **kwargs: snip(model, *data(), *args, **kwargs),
    "grasp": lambda model, *args, **kwargs: grasp(model, *data(), *args, **kwargs),
    "synflow": lambda *args, **kwargs: synflow(*args, rounds=3, **kwargs),
    "obd": lambda model, *args, **kwargs: obd(model, data()[0], *args, **kwargs),
}


@pytest.mark.parametrize("method", METHODS)
def test_counts_are_exact_and_the_model_is_not_touched(method):
    model = network()
    before = [array.copy() for array in model.get_weights()]
    total = pruning.live_weights(model)
    for arguments in (
        {"sparsity": 0}, {"sparsity": 0.333}, {"sparsity": 0.9}, {"keep": 20}, {"keep": total - 1}
    ):  # fmt: skip
        masks = METHODS[method](model, **arguments)
        keep = arguments.get("keep", round((1 - arguments.get("sparsity", 0)) * total))
        assert sum(mask.sum() for mask in masks.values()) == keep
        assert pruning.live_weights(pruning.apply_masks(model, masks)) == keep
    masks = METHODS[method](model, 0.5, dense=("depthwise",))
    assert list(masks) == ["conv", "pointwise", "classifier"]
    assert sum(mask.sum() for mask in masks.values()) == round(0.5 * total) - 54
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("sparsity", [0.1, 0.4, 0.7, 0.9])
def test_erk_against_a_bisection(sparsity):
    model = network()
    sizes = {"conv": 162, "depthwise": 54, "pointwise": 48, "classifier": 24}
    raw = {"conv": (3 + 6 + 3 + 3) / 162, "depthwise": (6 + 1 + 3 + 3) / 54}
    raw |= {"pointwise": (6 + 8 + 1 + 1) / 48, "classifier": (8 + 3) / 24}

    def counts(e):
        return {name: min(1, e * raw[name]) * sizes[name] for name in sizes}

    low, high, keep = 0.0, 1e3, round((1 - sparsity) * 288)
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if sum(counts(middle).values()) < keep else (low, middle)
    found, expected = erk_counts(model, sparsity), counts(low)
    assert sum(found.values()) == keep
    assert all(abs(found[name] - expected[name]) < 1 for name in sizes)


def test_uniform_counts_have_one_density():
    found = uniform_counts(network(), keep=29)
    assert sum(found.values()) == 29
    sizes = {"conv": 162, "depthwise": 54, "pointwise": 48, "classifier": 24}
    assert all(abs(found[name] - sizes[name] * 29 / 288) < 1 for name in sizes)


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


@pytest.mark.parametrize("batch_size", [None, 5])
def test_snip_against_differences_of_the_loss(batch_size):
    model = network(dtype="float64")
    images, labels = data()
    images = images.astype("float64")
    step = batch_size or 12

    def loss():
        total = 0.0
        for i in range(0, 12, step):
            chances = np.asarray(model(images[i : i + step], training=True))
            total -= np.log(chances[np.arange(len(chances)), labels[i : i + step]]).sum()
        return total

    expected, found, random = [], [], np.random.default_rng(0)
    scores = snip_scores(model, list(kernels(model)), images, labels, LOSS, batch_size)
    assert np.isclose(sum(score.sum() for score in scores.values()), 1)
    for name, layer in pruning.prunable_layers(model).items():
        weights = np.array(layer.kernel)
        for flat in random.choice(weights.size, 8, replace=False):
            place = np.unravel_index(flat, weights.shape)
            mask, losses = np.ones(weights.shape), []
            for mask[place] in (1 + 1e-5, 1 - 1e-5):
                layer.kernel.assign(weights * mask)
                losses.append(loss())
            expected.append(abs(losses[0] - losses[1]))
            found.append(scores[name][place])
        layer.kernel.assign(weights)
    np.testing.assert_allclose(
        found / np.sum(found), expected / np.sum(expected), rtol=1e-5, atol=1e-9
    )
    masks = snip(model, images, labels, keep=30, batch_size=batch_size)
    kept = min(scores[name][mask].min() for name, mask in masks.items() if mask.any())
    assert kept >= max(scores[name][~mask].max() for name, mask in masks.items())


def numpy_loss(flat, images, labels, temperature, normal):
    """Cross-entropy of Dense(4) - BatchNormalization or not - ReLU - Dense(3), by hand."""
    first, second = flat[:20].reshape(5, 4), flat[20:].reshape(4, 3)
    hidden = images @ first
    if normal:
        hidden = (hidden - hidden.mean(0)) / np.sqrt(hidden.var(0) + 1e-3)
    logits = np.maximum(hidden, 0) @ second / temperature
    logits -= logits.max(1, keepdims=True)
    logs = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    return -logs[np.arange(len(labels)), labels].mean()


def numpy_grasp(flat, *arguments):
    """-w * H g with the full Hessian by differences."""
    step, size = 1e-4, len(flat)
    eye = step * np.eye(size)

    def loss(shift):
        return numpy_loss(flat + shift, *arguments)

    g = np.array([loss(e) - loss(-e) for e in eye]) / (2 * step)
    hessian = np.array(
        [[loss(a + b) - loss(a - b) - loss(b - a) + loss(-a - b) for a in eye] for b in eye]
    ) / (4 * step**2)
    return -flat * (hessian @ g)


@pytest.mark.parametrize("from_logits", [False, True])
@pytest.mark.parametrize("normal", [False, True])
def test_grasp_against_the_full_hessian(normal, from_logits):
    if normal and keras.backend.backend() == "tensorflow" and why_not_native_operations():
        pytest.skip("the second derivative of Keras's BatchNormalization is not exact")
    random = np.random.default_rng(3)
    # The normalisation that is exact on TensorFlow computes in float32.
    dtype, tolerance = ("float32", 2e-4) if normal else ("float64", 1e-5)
    images, labels = random.normal(size=(10, 5)).astype(dtype), random.integers(0, 3, 10)
    flat = random.normal(size=32)
    layers = [
        keras.Input((5,), dtype=dtype),
        keras.layers.Dense(4, use_bias=False, name="first", dtype=dtype),
        keras.layers.ReLU(dtype=dtype),
        keras.layers.Dense(3, use_bias=False, name="second", dtype=dtype),
    ]
    if normal:
        layers.insert(2, keras_ssc.layers.BatchNormalization(epsilon=1e-3))
    if not from_logits:
        layers.append(keras.layers.Softmax(dtype=dtype))
    model = keras.Sequential(layers)
    for name, values in (("first", flat[:20].reshape(5, 4)), ("second", flat[20:].reshape(4, 3))):
        pruning.prunable_layers(model)[name].kernel.assign(values)
    expected = numpy_grasp(flat, images.astype("float64"), labels, 2.0, normal)
    values = {name: layer.kernel for name, layer in pruning.prunable_layers(model).items()}
    found = grasp_scores(model, values, images, labels, 2.0, from_logits)
    found = np.concatenate([found["first"].ravel(), found["second"].ravel()])
    np.testing.assert_allclose(found, expected, atol=tolerance * np.abs(expected).max())
    options = {"keep": 12, "temperature": 2.0, "from_logits": from_logits}
    masks = grasp(model, images, labels[:, None], **options)
    kept = np.concatenate([masks["first"].ravel(), masks["second"].ravel()])
    assert set(np.flatnonzero(kept)) == set(np.argsort(expected)[:12])  # the largest go


def test_grasp_takes_the_mean_over_batches():
    model = network(dtype="float64", normal=False)
    images, labels = data()
    values = {name: layer.kernel for name, layer in pruning.prunable_layers(model).items()}
    expected = grasp_scores(model, values, images, labels)
    found = grasp_scores(model, values, images, labels, batch_size=5)
    for name, score in expected.items():
        np.testing.assert_allclose(found[name], score, rtol=1e-7, atol=1e-9 * np.abs(score).max())


def test_grasp_draws_dense_kernels_anew_for_its_scores_alone():
    model = network()
    kernel = pruning.prunable_layers(model)["classifier"].kernel
    first = grasp(model, *data(), keep=60, redraw_dense=True, seed=1)
    kernel.assign(np.array(kernel) * -3)
    assert same(first, grasp(model, *data(), keep=60, redraw_dense=True, seed=1))
    assert not same(first, grasp(model, *data(), keep=60))
    assert not same(first, grasp(model, *data(), keep=60, redraw_dense=True, seed=2))
    with pytest.raises(ValueError, match="`temperature`"):
        grasp(model, *data(), 0.5, temperature=0)


def test_synflow_conserves_the_flow():
    model = network(last=None, bias=False)
    normal = model.layers[1]
    random = np.random.default_rng(0)
    normal.gamma.assign(random.normal(size=6))
    normal.moving_variance.assign(random.random(6) + 0.5)
    layers = pruning.prunable_layers(model)
    absolute = keras.models.clone_model(model)
    absolute.set_weights([np.abs(weight) for weight in model.get_weights()])
    flow = float(np.sum(absolute.predict(np.ones((1, 4, 4, 3)), verbose=0)))
    scores = synflow_scores(model, list(layers))(all_live(model))
    for name in layers:
        np.testing.assert_allclose(scores[name].sum(), flow, rtol=1e-5)
        np.testing.assert_allclose(scores[name].sum(), scores["conv"].sum(), rtol=1e-7)


def test_synflow_against_its_closed_form_for_two_layers():
    model = keras.Sequential(
        [
            keras.Input((7,)),
            keras.layers.Dense(9, use_bias=False, name="first"),
            keras.layers.Dense(5, use_bias=False, name="second"),
        ]
    )
    first, second = (np.abs(kernel.astype("float64")) for kernel in kernels(model).values())
    alive = np.ones(63 + 45, bool)
    for k in range(1, 11):
        w, v = first * alive[:63].reshape(7, 9), second * alive[63:].reshape(9, 5)
        scores = np.concatenate([(w * v.sum(1)).ravel(), (v * w.sum(0)[:, None]).ravel()])
        scores[~alive] = -1
        alive = np.zeros(108, bool)
        alive[np.argsort(-scores)[: round(108 * (12 / 108) ** (k / 10))]] = True
    masks = synflow(model, keep=12, rounds=10)
    np.testing.assert_array_equal(masks["first"].ravel(), alive[:63])
    np.testing.assert_array_equal(masks["second"].ravel(), alive[63:])
    assert not same(masks, synflow(model, keep=12, rounds=1))


def test_synflow_of_a_deep_model_stays_in_range():
    draw = keras.initializers.RandomNormal(stddev=1.0, seed=1)
    model = keras.Sequential([keras.Input((90,))])
    for i in range(30):
        options = {"kernel_initializer": draw.clone(), "use_bias": False, "name": f"dense{i}"}
        model.add(keras.layers.Dense(90, **options))
    scores = synflow_scores(model, list(kernels(model)))
    if keras.backend.backend() == "tensorflow":
        sums = [part.sum() for part in scores(all_live(model)).values()]
        assert sums[0] > np.finfo("float32").max
        np.testing.assert_allclose(sums, sums[0], rtol=1e-7)
    masks = synflow(model, 0.99, rounds=4)
    assert sum(mask.sum() for mask in masks.values()) == 2430
    assert all(mask.any() for mask in masks.values())


def test_synflow_takes_the_last_activation_off():
    logits = network(last=None)
    masks = synflow(logits, keep=60, rounds=3)

    def ending(*layers):
        copy = keras.models.clone_model(logits)
        copy.set_weights(logits.get_weights())
        return keras.Sequential([keras.Input((4, 4, 3)), copy, *layers])

    inside = network()
    inside.set_weights(logits.get_weights())
    rescaled = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Rescaling(1 / 9, -1), logits])
    for model in (
        inside,
        rescaled,
        ending(keras.layers.Softmax()),
        ending(keras.layers.Activation("softmax")),
    ):
        assert same(masks, synflow(model, keep=60, rounds=3))
    functional = keras.Model(logits.inputs, keras.ops.softmax(logits.outputs[0]))
    with pytest.raises(ValueError, match="no layer"):
        synflow(functional, 0.5)
    free = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(2, 1)])
    with pytest.raises(ValueError, match="fixed shape"):
        synflow(free, 0.5)


@pytest.mark.parametrize("method", ["snip", "grasp", "synflow", "magnitude"])
def test_an_interspace_model_gets_the_same_masks(method):
    model = network()
    interspace = pruning.apply_masks(model, all_live(model), interspace=True)
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
