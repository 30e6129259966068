"""Network Slimming: scales get small in training, and the smallest of all go."""

import keras
import numpy as np
import pytest
from keras import layers
from thin_models import filters, images, outputs

from keras_ssc.pruning._slimming import slim, slim_filters, slimming

pytestmark = pytest.mark.jax_long


def scaled_net():
    """Channels with one scale, with two behind a depthwise layer, and with two in a sum."""
    x = keras.Input((4, 4, 2))
    y = layers.Conv2D(4, 1, name="a")(x)
    y = layers.ReLU()(layers.BatchNormalization(name="a_norm")(y))
    z = layers.BatchNormalization(name="b_norm")(layers.Conv2D(3, 1, name="b")(y))
    w = layers.BatchNormalization(name="w_norm")(layers.DepthwiseConv2D(1, name="w")(z))
    v = layers.BatchNormalization(name="c_norm")(layers.Conv2D(3, 1, name="c")(y))
    y = layers.GlobalMaxPooling2D()(layers.Add()([v, w]))
    model = keras.Model(x, layers.Dense(2, name="last")(y))
    gammas = {"a_norm": [0.1, -0.7, 0.2, 0.8], "b_norm": [0.9, 0.15, 0.05],
              "w_norm": [0.1, 0.3, -0.02], "c_norm": [0.1, 0.4, 0.01]}  # fmt: skip
    for name, values in gammas.items():
        model.get_layer(name).gamma.assign(values)
    return model


def without_scales():
    return keras.Sequential([keras.Input((2,)), layers.Dense(3), layers.Dense(2)])


def test_slim_filters_takes_the_smallest_of_all():
    # By channel: a 0.1, 0.7, 0.2, 0.8; b and c together 0.9, 0.4, 0.05.
    model = scaled_net()

    def kept(fraction):
        return {name: one.tolist() for name, one in slim_filters(model, fraction).items()}

    assert kept(1 / 7) == {"b": [0, 1], "c": [0, 1]}
    assert kept(3 / 7) == {"a": [1, 3], "b": [0, 1], "c": [0, 1]}
    assert kept(6 / 7) == {"a": [3], "b": [0], "c": [0]}
    small = slim(model, 3 / 7)
    assert filters(small) == {"a": 2, "b": 2, "c": 2}
    np.testing.assert_allclose(small.get_layer("a_norm").get_weights()[0], [-0.7, 0.8])
    with pytest.raises(ValueError, match="must have channels with a BatchNormalization scale"):
        slim(without_scales(), 0.5)
    with pytest.raises(ValueError, match="`fraction`"):
        slim(model, 0)


def train(model):
    x = images(64, 4, 4, 2)
    y = (x.mean((1, 2))[:, 0] > 0).astype("int32")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.05), loss)
    model.fit(x, y, batch_size=16, epochs=5, shuffle=False, verbose=0)
    return sum(float(np.abs(np.asarray(layer.gamma)).sum()) for layer in norms(model))


def norms(model):
    return [layer for layer in model.layers if isinstance(layer, layers.BatchNormalization)]


def test_slimming_makes_scales_small_in_training(tmp_path):
    model = scaled_net()
    priced = slimming(model, 0.5)
    gammas = [np.abs(np.asarray(layer.gamma)).sum() for layer in norms(model)]
    assert float(sum(priced.losses)) == pytest.approx(0.5 * sum(gammas), rel=1e-5)
    assert model.losses == []
    x = images(2, 4, 4, 2)
    np.testing.assert_array_equal(outputs(priced, x), outputs(model, x))
    priced.save(tmp_path / "priced.keras")
    again = keras.models.load_model(tmp_path / "priced.keras")
    assert float(sum(again.losses)) == pytest.approx(float(sum(priced.losses)))
    assert slimming(priced, 0).losses == []
    assert train(priced) < 0.7 * train(slimming(model, 0))
    assert filters(slim(priced, 0.5))["a"] >= 1
    with pytest.raises(ValueError, match="must have BatchNormalization"):
        slimming(without_scales())
    with pytest.raises(ValueError, match="`strength`"):
        slimming(model, -1)
