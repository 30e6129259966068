"""What the tests of whole-filter pruning share."""

import numpy as np
from keras import layers


def images(*shape):
    """Random images, the same each time."""
    return np.random.default_rng(1).normal(size=shape).astype("float32")


def with_random_weights(model):
    """Any values for all weights, also for those that start as zeros and ones."""
    random = np.random.default_rng(2)
    for layer in model.layers:
        weights = layer.get_weights()
        layer.set_weights([random.uniform(0.1, 0.5, w.shape) * 2 - 0.4 for w in weights])
        if isinstance(layer, layers.BatchNormalization):
            layer.moving_variance.assign(random.uniform(0.5, 2, layer.moving_variance.shape))
    return model


def clear(layer, indices):
    """Zero what a layer adds to some of its output channels."""
    weights = layer.get_weights()
    for weight in weights:
        if isinstance(layer, layers.DepthwiseConv2D) and weight.ndim == 4:
            weight.reshape(*weight.shape[:2], -1)[..., indices] = 0
        else:
            weight[..., indices] = 0
    layer.set_weights(weights)


def outputs(model, x):
    """What a model computes, in inference."""
    return model.predict(x, verbose=0)


def filters(model):
    """{name: filters} of all convolutions that have a number of them."""
    return {layer.name: layer.filters for layer in model.layers if hasattr(layer, "filters")}
