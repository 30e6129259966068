"""MLPrune against np.kron, slow loops, finite differences and least squares."""

import itertools

import keras
import numpy as np
import pytest

from keras_ssc import pruning
from keras_ssc.pruning._mlprune import mlprune, mlprune_saliencies
from keras_ssc.pruning.kronecker import kronecker_factors, kronecker_saliencies
from keras_ssc.pruning.masks import kernels
from keras_ssc.pruning.optimal_brain_damage import obd_saliencies

pytestmark = pytest.mark.jax_long

CLASSES = 3
RANDOM = np.random.default_rng(0)


def positive(size):
    """A random symmetric positive definite matrix."""
    root = RANDOM.normal(size=(size, size + 2))
    return root @ root.T


def test_saliencies_are_those_of_the_whole_kronecker_product():
    a, g, weights = positive(6), positive(4), RANDOM.normal(size=(6, 4))
    damping = 1e-2
    damped = [f + np.sqrt(damping) * np.trace(f) / len(f) * np.eye(len(f)) for f in (a, g)]
    inverse = np.linalg.inv(np.kron(*damped))  # row-major, as weights.reshape(-1) is
    expected = np.square(weights) / (2 * np.diag(inverse).reshape(6, 4))
    found = kronecker_saliencies(weights[None], a[None], g[None], damping)[0]
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_for_squared_loss_it_is_the_rise_after_the_others_are_fitted_again():
    x, y = RANDOM.normal(size=(30, 5)), RANDOM.normal(size=(30, 2))
    weights = np.linalg.lstsq(x, y, rcond=None)[0]
    found = kronecker_saliencies(weights[None], (x.T @ x)[None], np.eye(2)[None], 0.0)[0]
    least = np.square(x @ weights - y).sum() / 2
    for row, column in np.ndindex(*weights.shape):
        others = np.delete(x, row, axis=1)
        refitted = np.linalg.lstsq(others, y[:, column], rcond=None)[0]
        loss = np.square(others @ refitted - y[:, column]).sum() / 2
        loss += np.square(x @ weights - y)[:, 1 - column].sum() / 2
        np.testing.assert_allclose(found[row, column], loss - least, rtol=1e-8)


def test_with_diagonal_factors_it_is_optimal_brain_damage():
    a, g, weights = RANDOM.uniform(1, 2, 6), RANDOM.uniform(1, 2, 4), RANDOM.normal(size=(6, 4))
    found = kronecker_saliencies(weights[None], np.diag(a)[None], np.diag(g)[None], 0.0)[0]
    np.testing.assert_allclose(found, np.outer(a, g) * weights**2 / 2)


def test_one_constant_between_the_factors_changes_nothing():
    a, g, weights = positive(6), positive(4), RANDOM.normal(size=(6, 4))
    one, other = (
        kronecker_saliencies(weights[None], c * a[None], g[None] / c, 1e-3) for c in (1, 1e4)
    )
    np.testing.assert_allclose(one, other, rtol=1e-10)


def dense_model(features, bias=False):
    model = keras.Sequential(
        [
            keras.Input((features,)),
            keras.layers.Dense(CLASSES, activation="softmax", use_bias=bias, name="only"),
        ]
    )
    model.set_weights([RANDOM.normal(size=weight.shape) for weight in model.get_weights()])
    return model


def test_for_one_image_the_factors_are_the_whole_fisher_information():
    model = dense_model(4)
    image = RANDOM.normal(size=(1, 4)).astype("float32")
    weights = np.asarray(model.get_weights()[0], "float64")

    def logs(weights):
        logits = image.astype("float64")[0] @ weights
        return logits - np.log(np.exp(logits).sum())

    step, slopes = 1e-6, np.zeros((CLASSES, *weights.shape))
    for place in np.ndindex(*weights.shape):
        shift = np.zeros_like(weights)
        shift[place] = step
        slopes[:, *place] = (logs(weights + shift) - logs(weights - shift)) / (2 * step)
    flat = slopes.reshape(CLASSES, -1)
    expected = (flat * np.exp(logs(weights))[:, None]).T @ flat
    chances = np.exp(logs(weights))[None]
    labels = [(np.array([c]), chances[:, c]) for c in range(CLASSES)]
    (a, g) = kronecker_factors(model, ["only"], image, labels)["only"]
    np.testing.assert_allclose(np.kron(a[0], g[0]), expected, atol=1e-5)
    # And with drawn labels summed over images, OBD sees the same diagonal for one image.
    obd = obd_saliencies(model, ["only"], image, draws=None)["only"]
    np.testing.assert_allclose(
        obd, np.outer(np.diag(a[0]), np.diag(g[0])) * weights**2 / 2, rtol=1e-4
    )


CONVOLUTIONS = [
    (keras.layers.Conv2D, {"filters": 4, "padding": "same"}),
    (keras.layers.Conv2D, {"filters": 4, "padding": "valid", "use_bias": False}),
    (keras.layers.Conv2D, {"filters": 4, "padding": "same", "strides": 2}),
    (keras.layers.Conv2D, {"filters": 4, "padding": "valid", "dilation_rate": 2}),
    (keras.layers.Conv2D, {"filters": 4, "padding": "same", "groups": 2}),
    (keras.layers.DepthwiseConv2D, {"depth_multiplier": 2, "padding": "same"}),
    (pruning.masks.InterspaceConv2D, {"filters": 4, "padding": "same"}),
]


def slow_patches(layer, x):
    """What each kernel entry meets: (groups, images, positions, taps, channels), by loops."""
    (rows, columns), stride, rate = layer.kernel_size, layer.strides[0], layer.dilation_rate[0]
    _, height, width, _ = x.shape
    out = layer.compute_output_shape(x.shape)[1:3]
    pad = [0, 0]
    if layer.padding == "same":
        for axis, (size, side) in enumerate(zip((height, width), (rows, columns), strict=True)):
            pad[axis] = max((out[axis] - 1) * stride + (side - 1) * rate + 1 - size, 0) // 2
    found = np.zeros((len(x), out[0] * out[1], rows * columns, x.shape[-1]))
    for i, j in itertools.product(range(out[0]), range(out[1])):
        for k, m in itertools.product(range(rows), range(columns)):
            row, column = i * stride + k * rate - pad[0], j * stride + m * rate - pad[1]
            if 0 <= row < height and 0 <= column < width:
                found[:, i * out[1] + j, k * columns + m] = x[:, row, column]
    return found


@pytest.mark.parametrize(("kind", "settings"), CONVOLUTIONS, ids=str)
def test_factors_of_convolutions_by_slow_loops_and_differences(kind, settings):
    x = RANDOM.normal(size=(3, 6, 5, 4)).astype("float32")
    inputs = keras.Input(x.shape[1:])
    layer = kind(kernel_size=3, name="conv", activation="tanh", **settings)
    y = layer(inputs)
    y = keras.layers.GlobalAveragePooling2D()(y)
    last = keras.layers.Dense(CLASSES, name="last")
    model = keras.Model(inputs, last(y))
    model.set_weights(
        [
            np.ones(w.shape, bool) if w.dtype == bool else RANDOM.normal(size=w.shape) / 6
            for w in model.get_weights()
        ]
    )
    label = np.array([0, 2, 1])
    a, g = kronecker_factors(
        model, ["conv"], x, [(label, np.ones(3))], from_logits=True, batch_size=2
    )["conv"]

    patches = slow_patches(layer, x)
    if kind is pruning.masks.InterspaceConv2D:
        basis = np.asarray(keras.ops.convert_to_numpy(layer.basis), "float64")
        patches = np.einsum("ik,ntkc->ntic", basis, patches)
    groups = a.shape[0]
    share = x.shape[-1] // groups
    for group in range(groups):
        rows = patches[..., group * share : (group + 1) * share].reshape(-1, 9 * share)
        if layer.use_bias:
            rows = np.concatenate([rows, np.ones((len(rows), 1))], axis=1)
        np.testing.assert_allclose(a[group], rows.T @ rows / 3, rtol=1e-5, atol=1e-5)

    # G by finite differences of log p by each sum, in float64 NumPy behind the convolution.
    plain = keras.Model(inputs, layer.output)
    values = np.arctanh(np.clip(keras.ops.convert_to_numpy(plain(x)).astype("float64"), -1, 1))
    weights, bias = (np.asarray(keras.ops.convert_to_numpy(v), "float64") for v in last.weights)

    def log_p(image, sums):
        logits = np.tanh(sums).mean(axis=(0, 1)) @ weights + bias
        return (logits - np.log(np.exp(logits).sum()))[label[image]]

    step, slopes = 1e-5, np.zeros(values.shape)
    for image in range(3):
        for place in np.ndindex(*values.shape[1:]):
            shift = np.zeros(values.shape[1:])
            shift[place] = step
            up, down = (log_p(image, values[image] + s) for s in (shift, -shift))
            slopes[image][place] = (up - down) / (2 * step)
    positions = slopes.shape[1] * slopes.shape[2]
    share = slopes.shape[-1] // groups
    for group in range(groups):
        rows = slopes[..., group * share : (group + 1) * share].reshape(-1, share)
        expected = rows.T @ rows / positions / 3
        np.testing.assert_allclose(g[group], expected, atol=1e-4 * np.abs(expected).max())


def test_a_pointwise_convolution_on_one_pixel_is_a_dense_layer():
    x = RANDOM.normal(size=(5, 4)).astype("float32")
    dense = dense_model(4, bias=True)
    inputs = keras.Input((1, 1, 4))
    conv = keras.layers.Conv2D(CLASSES, 1, activation="softmax", name="only")
    model = keras.Model(inputs, keras.layers.Flatten()(conv(inputs)))
    model.set_weights(
        [w.reshape(v.shape) for w, v in zip(dense.get_weights(), model.get_weights(), strict=True)]
    )
    labels = [(np.arange(5) % CLASSES, np.ones(5))]
    one = kronecker_factors(dense, ["only"], x, labels)["only"]
    other = kronecker_factors(model, ["only"], x[:, None, None], labels)["only"]
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def network():
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((6, 6, 3)),
            layers.Conv2D(8, 3, padding="same", name="a"),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.DepthwiseConv2D(3, name="b"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(CLASSES, activation="softmax", name="c"),
        ]
    )


IMAGES = RANDOM.normal(size=(10, 6, 6, 3)).astype("float32")


def test_batches_and_the_order_of_images_do_not_matter():
    model = network()
    names = ["a", "b", "c"]
    found = [
        mlprune_saliencies(model, names, images, draws=None, batch_size=size)
        for images, size in ((IMAGES, 1), (IMAGES, 7), (IMAGES[::-1], 100))
    ]
    for other in found[1:]:
        for name in names:
            np.testing.assert_allclose(other[name], found[0][name], rtol=1e-4)


def test_counts_dense_layers_seeds_and_a_model_left_alone():
    model = network()
    before = [weight.copy() for weight in model.get_weights()]
    masks = mlprune(model, IMAGES, keep=60, seed=1)
    assert sum(int(mask.sum()) for mask in masks.values()) == 60
    assert "c" not in mlprune(model, IMAGES, keep=100, dense=("c",))
    for name, mask in mlprune(model, IMAGES, keep=60, seed=1).items():
        np.testing.assert_array_equal(mask, masks[name])
    one, other = (mlprune_saliencies(model, ["c"], IMAGES, seed=seed)["c"] for seed in (1, 2))
    assert not np.allclose(one, other)
    for weight, old in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, old)
    # Called again on the masked model, masks nest.
    masked = pruning.apply_masks(model, masks)
    for name, mask in mlprune(masked, IMAGES, keep=30).items():
        assert not (mask & ~masks[name]).any()
    assert kernels(masked)["a"].shape == (3, 3, 3, 8)


def test_refusals():
    model = network()
    with pytest.raises(ValueError, match="`damping`"):
        mlprune(model, IMAGES, 0.5, damping=0)
    with pytest.raises(ValueError, match="`draws`"):
        mlprune(model, IMAGES, 0.5, draws=0)
    bad = IMAGES.copy()
    bad[3] = np.nan
    with pytest.raises(ValueError, match="finite"):
        mlprune(model, bad, 0.5)
    shared = keras.layers.Dense(4, name="shared")
    inputs = keras.Input((4,))
    twice = keras.Model(inputs, keras.layers.Softmax()(shared(shared(inputs))))
    with pytest.raises(ValueError, match="'shared' is called 2 times"):
        mlprune(twice, IMAGES[:, 0, 0, :1].repeat(4, 1), 0.5)
