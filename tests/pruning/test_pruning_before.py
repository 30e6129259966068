"""SNIP, GraSP and SynFlow against slow references."""

import keras
import numpy as np
import pytest

import keras_ssc
from keras_ssc import pruning
from keras_ssc.native import why_not_native_operations
from keras_ssc.pruning._grasp import grasp, grasp_scores
from keras_ssc.pruning._snip import snip, snip_scores
from keras_ssc.pruning._synflow import synflow, synflow_scores
from keras_ssc.pruning.masks import kernels

pytestmark = pytest.mark.jax

WEIGHTS = np.random.default_rng(5).normal(size=32)


def data():
    random = np.random.default_rng(3)
    return random.normal(size=(10, 5)).astype("float32"), random.integers(0, 3, 10)


def small_network(normal=True, from_logits=False):
    """The network of `numpy_loss`."""
    layers = [
        keras.Input((5,)),
        keras.layers.Dense(4, use_bias=False, name="first"),
        keras.layers.ReLU(),
        keras.layers.Dense(3, use_bias=False, name="second"),
    ]
    if normal:
        layers.insert(2, keras_ssc.layers.FusedBatchNormalization(epsilon=1e-3))
    if not from_logits:
        layers.append(keras.layers.Softmax())
    model = keras.Sequential(layers)
    found = pruning.prunable_layers(model)
    found["first"].kernel.assign(WEIGHTS[:20].reshape(5, 4))
    found["second"].kernel.assign(WEIGHTS[20:].reshape(4, 3))
    return model


def flat(arrays):
    return np.concatenate([arrays["first"].ravel(), arrays["second"].ravel()])


def same(first, second):
    return set(first) == set(second) and all((first[name] == second[name]).all() for name in first)


def numpy_loss(weights, images, labels, temperature=1.0, normal=True):
    """Cross-entropy of Dense(4) - BatchNormalization or not - ReLU - Dense(3), by hand."""
    first, second = weights[:20].reshape(5, 4), weights[20:].reshape(4, 3)
    hidden = images @ first
    if normal:
        hidden = (hidden - hidden.mean(0)) / np.sqrt(hidden.var(0) + 1e-3)
    logits = np.maximum(hidden, 0) @ second / temperature
    logits -= logits.max(1, keepdims=True)
    logs = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    return -logs[np.arange(len(labels)), labels].mean()


def numpy_grasp(weights, *arguments):
    """-w * H g with the full Hessian by differences."""
    step, size = 1e-4, len(weights)
    eye = step * np.eye(size)

    def loss(shift):
        return numpy_loss(weights + shift, *arguments)

    g = np.array([loss(e) - loss(-e) for e in eye]) / (2 * step)
    hessian = np.array(
        [[loss(a + b) - loss(a - b) - loss(b - a) + loss(-a - b) for a in eye] for b in eye]
    ) / (4 * step**2)
    return -weights * (hessian @ g)


@pytest.mark.parametrize("batch_size", [None, 4])
def test_snip_against_differences_of_the_loss(batch_size):
    images, labels = data()
    size = batch_size or 10

    def loss(mask):
        parts = [slice(i, i + size) for i in range(0, 10, size)]
        losses = [numpy_loss(WEIGHTS * mask, images[part], labels[part]) for part in parts]
        return np.average(losses, weights=[len(labels[part]) for part in parts])

    step = 1e-5 * np.eye(32)
    expected = np.abs([loss(1 + one) - loss(1 - one) for one in step])
    model, name = small_network(), "sparse_categorical_crossentropy"
    found = flat(snip_scores(model, ["first", "second"], images, labels, name, batch_size))
    np.testing.assert_allclose(found, expected / expected.sum(), rtol=1e-3, atol=1e-6)
    assert np.isclose(found.sum(), 1)
    kept = flat(snip(model, images, labels, keep=12, batch_size=batch_size))
    assert set(np.flatnonzero(kept)) == set(np.argsort(-expected)[:12])


@pytest.mark.parametrize("from_logits", [False, True])
@pytest.mark.parametrize("normal", [False, True])
def test_grasp_against_the_full_hessian(normal, from_logits):
    if normal and keras.backend.backend() == "tensorflow" and why_not_native_operations():
        pytest.skip("the second derivative of Keras's BatchNormalization is not exact")
    images, labels = data()
    expected = numpy_grasp(WEIGHTS, images.astype("float64"), labels, 2.0, normal)
    model = small_network(normal, from_logits)
    values = {name: layer.kernel for name, layer in pruning.prunable_layers(model).items()}
    found = flat(grasp_scores(model, values, images, labels, 2.0, from_logits))
    np.testing.assert_allclose(found, expected, atol=2e-4 * np.abs(expected).max())
    options = {"keep": 12, "temperature": 2.0, "from_logits": from_logits}
    kept = flat(grasp(model, images, labels[:, None], **options))
    assert set(np.flatnonzero(kept)) == set(np.argsort(expected)[:12])  # the largest go


def test_grasp_takes_the_mean_over_batches():
    model = small_network(normal=False)
    values = {name: layer.kernel for name, layer in pruning.prunable_layers(model).items()}
    expected = flat(grasp_scores(model, values, *data()))
    found = flat(grasp_scores(model, values, *data(), batch_size=4))
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


def test_grasp_draws_dense_kernels_anew_for_its_scores_alone():
    model = small_network()
    kernel = pruning.prunable_layers(model)["second"].kernel
    first = grasp(model, *data(), keep=12, redraw_dense=True, seed=1)
    kernel.assign(np.array(kernel) * -3)
    assert same(first, grasp(model, *data(), keep=12, redraw_dense=True, seed=1))
    assert not same(first, grasp(model, *data(), keep=12))
    assert not same(first, grasp(model, *data(), keep=12, redraw_dense=True, seed=2))
    with pytest.raises(ValueError, match="`temperature`"):
        grasp(model, *data(), 0.5, temperature=0)


def conv_network(last=None, bias=True):
    options = {"use_bias": bias}
    return keras.Sequential(
        [
            keras.Input((4, 4, 3)),
            keras.layers.Conv2D(6, 3, padding="same", name="conv", **options),
            keras_ssc.layers.FusedBatchNormalization(activation="relu"),
            keras.layers.DepthwiseConv2D(3, padding="same", name="depthwise", **options),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3, activation=last, name="classifier", **options),
        ]
    )


def all_live(model):
    return {name: np.ones(kernel.shape, bool) for name, kernel in kernels(model).items()}


def test_synflow_conserves_the_flow():
    model = conv_network(bias=False)
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
        np.testing.assert_allclose(scores[name].sum(), scores["conv"].sum(), rtol=1e-5)


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
    if keras.backend.backend() == "jax":  # where Keras has no float64
        with pytest.raises(ValueError, match="on TensorFlow can be used"):
            synflow(model, 0.99)
        return
    scores = synflow_scores(model, list(kernels(model)))(all_live(model))
    sums = [part.sum() for part in scores.values()]
    assert sums[0] > np.finfo("float32").max
    np.testing.assert_allclose(sums, sums[0], rtol=1e-7)
    masks = synflow(model, 0.99, rounds=4)
    assert sum(mask.sum() for mask in masks.values()) == 2430
    assert all(mask.any() for mask in masks.values())


def test_synflow_takes_the_last_activation_off():
    logits = conv_network()
    masks = synflow(logits, keep=60, rounds=3)

    def ending(*layers):
        copy = keras.models.clone_model(logits)
        copy.set_weights(logits.get_weights())
        return keras.Sequential([keras.Input((4, 4, 3)), copy, *layers])

    inside = conv_network("softmax")
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
