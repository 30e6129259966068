"""Layers whose filters read one channel each, g = M: as depthwise convolutions do."""

import itertools

import keras
import numpy as np
import pytest
from native_cases import ON_JAX, WIDTHS, case, three_passes, ways

import keras_ssc

pytestmark = [pytest.mark.jax, pytest.mark.usefixtures("compiler")]

# Sets of as many filters as there are channels: one or more, the last one shorter.
LAYERS = {
    "one set": {"in_channels": 24, "filters": 24, "dense_taps": True},
    "two sets": {"in_channels": 17, "filters": 34},
    "halves of a set": {"in_channels": 32, "filters": 32},
    "two and a half": {"in_channels": 20, "filters": 50, "dense_taps": True},
    "5x5": {"in_channels": 16, "filters": 32, "kernel_size": 5},
    "rectangle": {"in_channels": 16, "filters": 16, "kernel_size": (2, 3), "dense_taps": True},
    "few channels": {"in_channels": 5, "filters": 10},
}
GEOMETRY = {
    "one pixel": {"size": (1, 1)},
    "9 x 13": {"size": (9, 13)},
    "stride 2": {"size": (8, 7), "strides": (2, 2)},
    "stride 2, valid": {"size": (11, 10), "strides": (2, 2), "padding": "valid", "batch": 1},
    "stride 3": {"size": (7, 9), "strides": (3, 3)},
    "dilation 2": {"size": (9, 8), "dilation": (2, 2)},
}


def layer_of(name):
    layer = LAYERS[name]
    return {"g": layer["in_channels"], "p": 0, "kernel_size": 3} | layer


@pytest.mark.parametrize("geometry", GEOMETRY)
@pytest.mark.parametrize("layer", LAYERS)
def test_equals_the_reference_at_every_width(layer, geometry):
    pattern, (x, weights, dy), expected, settings = case(layer_of(layer), **GEOMETRY[geometry])
    for widest, slices in ways():
        results = three_passes(pattern, x, weights, dy, **settings, widest=widest, slices=slices)
        for actual, wanted in zip(results, expected, strict=True):
            scale = max(np.abs(wanted).max(), 1e-3)
            np.testing.assert_allclose(actual / scale, wanted / scale, atol=1e-5)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("layer", ["one set", "two sets", "5x5"])
def test_parts_of_the_work_change_no_bit(layer, batch):
    pattern, arrays, _, settings = case(layer_of(layer), (9, 13), batch)
    for widest in WIDTHS[:1] if ON_JAX else WIDTHS:
        outputs = [
            three_passes(pattern, *arrays, **settings, widest=widest, slices=slices)[0]
            for slices in (1, 2, 4)
        ]
        for one, other in itertools.pairwise(outputs):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("residual", [True, False])
def test_bias_residual_and_relu(residual):
    if ON_JAX:
        pytest.skip("TensorFlow's tensors")
    import tensorflow as tf

    from keras_ssc.native import native

    pattern, (x, weights, dy), (y, *_), settings = case(layer_of("two sets"), (9, 13))
    bias = np.linspace(-1, 1, pattern.filters, dtype="float32")
    added = tf.constant(dy) if residual else None
    matrices = [tf.constant(matrix) for matrix in weights]
    more = {"bias": tf.constant(bias), "residual": added, "relu": True}
    actual = native(tf.constant(x), matrices, pattern, **settings, **more)
    expected = np.maximum(y + bias + (dy if residual else 0), 0)
    np.testing.assert_allclose(actual, expected, atol=1e-5, rtol=1e-5)


def test_what_is_no_number_stays_in_its_image():
    pattern, (x, weights, dy), _, settings = case(layer_of("two sets"), (9, 11), batch=3)
    clean, *_ = three_passes(pattern, x, weights, dy, **settings)
    x[1] = np.nan
    y, *_ = three_passes(pattern, x, weights, dy, **settings, slices=1)
    np.testing.assert_array_equal(y[[0, 2]], clean[[0, 2]])
    assert np.isnan(y[1]).all()


@pytest.mark.skipif(ON_JAX, reason="only TensorFlow's graphs are fused")
@pytest.mark.parametrize("training", [True, False])
def test_with_normalisation_before_and_behind_it(training):
    """Around it, both are computed along with it, as around others."""
    import tensorflow as tf

    from keras_ssc.layers import FusedBatchNormalization

    layers = [
        keras_ssc.SSCConv2D(32, 3, g=8, p=3, padding="same"),
        FusedBatchNormalization(activation="relu"),
        keras_ssc.SSCConv2D(64, 3, g=32, p=0, padding="same"),
        FusedBatchNormalization(activation="relu"),
    ]
    model = keras.Sequential([keras.Input((12, 12, 32)), *layers])
    random = np.random.default_rng(0)
    model.set_weights([random.uniform(0.1, 1, weight.shape) for weight in model.get_weights()])
    x = tf.constant(random.normal(size=(3, 12, 12, 32)), "float32")
    moving = [variable.numpy() for variable in model.non_trainable_variables]
    fused = tf.function(lambda x: model(x, training=training))(x)
    after = [variable.numpy() for variable in model.non_trainable_variables]
    for variable, value in zip(model.non_trainable_variables, moving, strict=True):
        variable.assign(value)
    one_by_one = x
    for layer in layers:
        one_by_one = layer(one_by_one, training=training)
    np.testing.assert_allclose(fused, one_by_one, atol=1e-4)
    for actual, variable in zip(after, model.non_trainable_variables, strict=True):
        np.testing.assert_allclose(actual, variable, rtol=1e-4)
