"""Masks around training: Optimal Brain Damage, lottery tickets."""

import itertools

import keras
import numpy as np
import pytest

from keras_ssc import pruning
from keras_ssc.pruning._lottery_ticket import lottery_ticket
from keras_ssc.pruning.masks import kernels
from keras_ssc.pruning.optimal_brain_damage import obd, obd_saliencies

pytestmark = pytest.mark.jax_long

CLASSES = 3


def softmax_regression(images, from_logits=False):
    """A trained model, its weights (inputs, classes)."""
    last = None if from_logits else "softmax"
    model = keras.Sequential(
        [
            keras.Input(images.shape[1:]),
            keras.layers.Dense(CLASSES, activation=last, use_bias=False, name="only"),
        ]
    )
    weights = np.random.default_rng(1).normal(size=(images.shape[1], CLASSES))
    model.layers[0].kernel.assign(weights)
    return model, weights.astype("float32").astype("float64")


def mean_loss(weights, images, labels):
    logits = images @ weights
    logs = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    return -logs[np.arange(len(labels)), labels].mean()


@pytest.mark.parametrize("from_logits", [False, True])
def test_obd_against_the_diagonal_of_the_hessian(from_logits):
    random = np.random.default_rng(0)
    images = random.normal(size=(8, 4)).astype("float32")
    model, weights = softmax_regression(images, from_logits)
    labels = random.integers(0, CLASSES, 8)  # the Hessian is the same for any
    expected, step = np.zeros_like(weights), 1e-3
    for place in np.ndindex(*weights.shape):
        shift = np.zeros_like(weights)
        shift[place] = step
        losses = [mean_loss(weights + k * shift, images, labels) for k in (-1, 0, 1)]
        expected[place] = (losses[0] - 2 * losses[1] + losses[2]) / step**2 * weights[place] ** 2
    found = obd_saliencies(model, ["only"], images, from_logits, draws=None)["only"]
    np.testing.assert_allclose(found, expected / 2, rtol=1e-4)
    masks = obd(model, images, keep=5, from_logits=from_logits, draws=None)
    assert set(np.flatnonzero(masks["only"])) == set(np.argsort(-expected, axis=None)[:5])


def test_obd_with_drawn_labels_comes_near_the_expectation():
    images = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
    model, weights = softmax_regression(images)
    chances = np.asarray(model(images), "float64")
    draws = 100
    found = obd_saliencies(model, ["only"], images, draws=draws, seed=1)["only"]
    expected, variance = np.zeros((3, CLASSES)), np.zeros((3, CLASSES))
    for image, p in zip(images.astype("float64"), chances, strict=True):
        squares = np.square(np.eye(CLASSES) - p)  # one row for each label drawn
        mean = p @ squares
        expected += np.outer(image**2, mean) / 4
        variance += np.outer(image**4, p @ np.square(squares - mean)) / 16 / draws
    scale = weights**2 / 2
    assert (np.abs(found - scale * expected) < 5 * scale * np.sqrt(variance)).all()
    again = obd_saliencies(model, ["only"], images, draws=draws, seed=1)["only"]
    np.testing.assert_array_equal(found, again)
    with pytest.raises(ValueError, match="`draws`"):
        obd(model, images, 0.5, draws=0)


def network():
    return keras.Sequential(
        [
            keras.Input((4, 4, 3)),
            keras.layers.Conv2D(20, 3, name="conv"),
            keras.layers.BatchNormalization(),
            keras.layers.ReLU(),
            keras.layers.Flatten(),
            keras.layers.Dense(10, activation="softmax", name="classifier"),
        ]
    )


def data():
    random = np.random.default_rng(0)
    return random.normal(size=(20, 4, 4, 3)).astype("float32"), random.integers(0, 10, 20)


@pytest.mark.parametrize(("sparsity", "trainings"), [(0.9, 11), (0.95, 14), (0.98, 18)])
def test_tickets_by_hand(sparsity, trainings):
    """A fake training sets known weights: the survivors of each round are known too."""
    model = network()
    before = [array.copy() for array in model.get_weights()]
    random, seen = np.random.default_rng(0), []
    flat = np.ones(1340, bool)

    def train(model):
        nonlocal flat
        masks = pruning.read_masks(model)
        found = np.concatenate([masks["conv"].ravel(), masks["classifier"].ravel()])
        np.testing.assert_array_equal(found, flat)
        values = random.normal(size=1340)
        layers = pruning.prunable_layers(model)
        layers["conv"].kernel.assign(values[:540].reshape(3, 3, 3, 20))
        layers["classifier"].kernel.assign(values[540:].reshape(80, 10))
        seen.append(flat.sum())
        keep = max(round((1 - sparsity) * 1340), int(0.8 * flat.sum()))
        flat = flat & np.isin(values, sorted(values[flat], key=abs)[-keep:])

    ticket = lottery_ticket(model, train, sparsity)
    assert len(seen) == trainings
    masks = pruning.read_masks(ticket)
    np.testing.assert_array_equal(
        np.concatenate([masks["conv"].ravel(), masks["classifier"].ravel()]), flat
    )
    assert pruning.live_weights(ticket) == round((1 - sparsity) * 1340)
    for name, kernel in kernels(model).items():
        np.testing.assert_array_equal(kernels(ticket)[name], kernel * masks[name])
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("compiled", [False, True])
def test_tickets_rewind_to_the_end_of_the_warm_up(compiled):
    model, starts, early = network(), [], []
    optimizer = {"optimizer": "adam", "loss": "sparse_categorical_crossentropy"}
    if compiled:
        model.compile(**optimizer)

    def train(model, first=2, last=4):
        if not compiled:
            model.compile(**optimizer)
        starts.append([np.array(weight) for weight in model.weights if weight.dtype != "bool"])
        assert int(model.optimizer.iterations) == 0
        model.fit(*data(), batch_size=10, initial_epoch=first, epochs=last, verbose=0)

    def warm_up(model):
        train(model, 0, 2)
        early.extend(np.array(weight) for weight in model.weights)

    ticket = lottery_ticket(model, train, 0.5, dense=("conv",), share=0.7, warm_up=warm_up)
    assert len(starts) == 1 + 2  # of 800 live weights some 240 stay, then 130
    train(ticket)
    (mask,) = pruning.read_masks(ticket).values()
    assert mask.sum() == 130
    for index, (expected, found) in enumerate(zip(early, starts[-1], strict=True)):
        expected = expected * mask if expected.shape == mask.shape else expected
        np.testing.assert_array_equal(found, expected, err_msg=str(index))
    assert any((old != new).any() for old, new in zip(starts[0], starts[-1], strict=True))
    assert (np.array(ticket.get_layer("classifier").kernel)[~mask] == 0).all()


def test_what_is_pruned_never_comes_back():
    seen = []

    def train(model):
        seen.append(pruning.read_masks(model))
        for layer in pruning.prunable_layers(model).values():
            layer.kernel.assign(np.zeros(layer.kernel.shape))

    ticket = lottery_ticket(network(), train, keep=300)
    seen.append(pruning.read_masks(ticket))
    for old, new in itertools.pairwise(seen):
        assert all((old[name] >= new[name]).all() for name in old)
    assert pruning.live_weights(ticket) == 300
    one_shot = []
    lottery_ticket(network(), one_shot.append, 0.9, share=1)
    assert len(one_shot) == 1
    with pytest.raises(ValueError, match="`share`"):
        lottery_ticket(network(), train, 0.9, share=0)
