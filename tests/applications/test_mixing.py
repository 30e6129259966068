"""In every builder's default each channel of the stem reaches each channel of the last map."""

import math

import keras
import numpy as np
import pytest
from test_every_application import SHORT_AND_LONG

import keras_ssc
from keras_ssc import applications


def all_positive(model):
    """Let every filter take the mean of what it reads, so that no path cancels another."""
    for layer in model.layers:
        for variable in layer.trainable_variables:
            if variable.name.startswith("kernel"):
                shape = variable.shape
                one_channel = isinstance(layer, keras.layers.DepthwiseConv2D)
                read = math.prod(shape[:2] if one_channel else shape[:-1])
                variable.assign(np.full(shape, 1 / read, "float32"))


def reached(model, start, end):
    """Bool matrix (channels of layer `start`, channels of layer `end`): does one reach the other?

    A map with one live channel is sent through the positive network; what is above 0 was reached.
    """
    part = keras.Model(model.get_layer(start).output, model.get_layer(end).output)
    height, width, channels = part.input_shape[1:]
    x = np.ones((1, height, width, 1), "float32") * np.eye(channels, dtype="float32")[:, None, None]
    return np.array(part(x, training=False)).max(axis=(1, 2)) > 0


def last_map(model):
    """The name of the last layer before the pooling."""
    names = [layer.name for layer in model.layers]
    return names[names.index("avg_pool") - 1]


def built(name, **arguments):
    small = {"input_shape": (16, 16, 3), "classes": 10, "classifier_activation": None}
    model = getattr(applications, name)(**small | arguments)
    all_positive(model)
    return model


@pytest.mark.parametrize("name", SHORT_AND_LONG)
def test_default_mixes_all_channels_and_reads_all(name):
    model = built(name)
    for layer in model.layers:
        if isinstance(layer, keras_ssc.SSCConv2D):
            assert layer.pattern.unread_channels == (), layer.name
    first = "stage1_conv1_bn" if name.startswith("VGG") else "stem_bn"
    assert reached(model, first, last_map(model)).all()
    images = np.eye(3, dtype="float32")[:, None, None] * np.ones((3, 16, 16, 3), "float32")
    assert (np.array(model(images, training=False)) > 0).all()


def test_the_papers_shift_splits_mobilenet_in_two():
    model = built("MobileNetV2", shift="cyclic", input_shape=(8, 8, 3))
    share = reached(model, "stem_bn", last_map(model)).mean()
    assert share == pytest.approx(0.5)
