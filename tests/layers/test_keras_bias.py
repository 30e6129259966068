"""channels_first with as many filters as columns: ours add the bias right, whatever Keras does."""

import contextlib

import keras
import numpy as np
import pytest

import keras_ssc
from keras_ssc import pruning
from keras_ssc.layers import InterspaceConv2D, MaskedConv2D, MaskedDepthwiseConv2D
from keras_ssc.layers.keras_bias import misplaces_bias

pytestmark = pytest.mark.jax

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.normal(size=(2, 8, 6, 8)).astype("float32")  # 8 channels, 8 columns
FIRST = {"padding": "same", "data_format": "channels_first"}


def last(x):
    return np.moveaxis(np.asarray(x), 1, -1)


def with_bias(layer):
    """A model of one layer, its bias not 0."""
    model = keras.Sequential([keras.Input(IMAGES.shape[1:]), layer])
    layer.bias.assign(RANDOM.normal(size=layer.bias.shape))
    return model


@pytest.mark.parametrize("filters", [8, 5])
@pytest.mark.parametrize("kind", [MaskedConv2D, InterspaceConv2D, keras_ssc.SSCConv2D])
def test_our_convolutions(kind, filters):
    options = {"g": 4, "p": 2} if kind is keras_ssc.SSCConv2D else {}
    layer = kind(filters, 3, **FIRST, **options)
    model = with_bias(layer)
    expected = keras.ops.conv(last(IMAGES), layer.kernel, padding="same") + layer.bias
    np.testing.assert_allclose(last(model(IMAGES)), expected, atol=1e-5)


def test_our_depthwise_convolution():
    layer = MaskedDepthwiseConv2D(3, **FIRST)
    model = with_bias(layer)
    expected = keras.ops.depthwise_conv(last(IMAGES), layer.kernel, padding="same") + layer.bias
    np.testing.assert_allclose(last(model(IMAGES)), expected, atol=1e-5)


@pytest.mark.parametrize("filters", [8, 5])
def test_copies_in_keras_layers_are_equal_or_refused(filters):
    sparse = with_bias(keras_ssc.SSCConv2D(filters, 3, g=4, p=2, name="one", **FIRST))
    masked = with_bias(MaskedConv2D(filters, 3, name="one", **FIRST))
    plain = keras.layers.Conv2D(filters, 3, **FIRST)
    wrong = misplaces_bias(plain, IMAGES.shape)
    assert filters == 8 or not wrong
    for model, copy in ((sparse, keras_ssc.densify), (masked, pruning.remove_masks)):
        refused = pytest.raises(ValueError, match=r"as many filters as columns.*'one'")
        with refused if wrong else contextlib.nullcontext():
            np.testing.assert_allclose(copy(model)(IMAGES), model(IMAGES), atol=1e-5)
        model.layers[0].bias.assign(np.zeros(filters))
        np.testing.assert_allclose(copy(model)(IMAGES), model(IMAGES), atol=1e-5)


def test_whether_keras_is_wrong_is_found_by_trying():
    model = with_bias(keras.layers.Conv2D(8, 3, **FIRST))
    layer = model.layers[0]
    expected = keras.ops.conv(last(IMAGES), layer.kernel, padding="same") + layer.bias
    is_right = np.abs(last(model(IMAGES)) - np.asarray(expected)).max() < 1e-4
    assert misplaces_bias(layer, IMAGES.shape) != is_right


@pytest.mark.parametrize(
    "norm", [keras.layers.BatchNormalization, keras_ssc.layers.FusedBatchNormalization]
)
@pytest.mark.parametrize("depthwise", [False, True])
def test_fold_makes_no_bias_that_keras_would_misplace(norm, depthwise):
    options = FIRST | {"use_bias": False}
    layers = keras.layers
    layer = layers.DepthwiseConv2D(3, **options) if depthwise else layers.Conv2D(8, 3, **options)
    norm = norm(axis=1)
    model = keras.Sequential([keras.Input(IMAGES.shape[1:]), layer, norm])
    for weight in norm.weights:
        weight.assign(0.5 + RANDOM.random(weight.shape))
    np.testing.assert_allclose(
        keras_ssc.fold(model)(IMAGES), model(IMAGES, training=False), atol=1e-5
    )
