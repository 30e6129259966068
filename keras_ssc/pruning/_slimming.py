"""Network Slimming: train with an L1 penalty on the scales of BatchNormalization."""

import keras
import numpy as np

from keras_ssc.arguments import fraction as in_range
from keras_ssc.arguments import number as at_least
from keras_ssc.layers.channel_wise import keras_class
from keras_ssc.model_copy import copy_graph
from keras_ssc.model_graph import check_graph, graph_layers
from keras_ssc.pruning.channel_groups import NORMS, follow_channels
from keras_ssc.pruning.filters import kept_without, remove_filters


def slimming(model, strength=1e-4):
    """Return a copy of a model with an L1 penalty on its BatchNormalization scales.

        loss + strength * sum |gamma|

    over the scales of all BatchNormalization layers. The penalty is saved with the copy, and is
    part of its `losses`; take it off again with `strength=0`, to fine-tune.

    Args:
        model: a built functional or Sequential `keras.Model`; it is not touched.
        strength: float >= 0, in place of the layers' own gamma_regularizer. The authors use 1e-4
            for VGG and 1e-5 for ResNets.

    Returns:
        `keras.Model`, compiled like `model` if that is.

    Raises:
        TypeError, ValueError: the model is subclassed, not built or without scales; `strength` is
            out of range.

    Example:

    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.BatchNormalization()])
    >>> round(float(slimming(model, 0.1).losses[0]), 6)
    0.4

    Reference: Liu et al., "Learning Efficient Convolutional Networks through Network Slimming",
    2017.
    """
    strength = at_least("strength", strength, 0)
    check_graph(model)

    def exchange(layer):
        if keras_class(layer) not in NORMS or not layer.scale:
            return None
        penalty = (
            keras.regularizers.serialize(keras.regularizers.L1(strength)) if strength else None
        )
        return type(layer).from_config(layer.get_config() | {"gamma_regularizer": penalty})

    copy, exchanged = copy_graph(model, exchange)
    if not exchanged:
        raise ValueError(
            f"`model` must have BatchNormalization with scales. Received: {model.name!r}, without"
        )
    for old, new in exchanged:
        new.set_weights(old.get_weights())
    return copy


def slim_filters(model, fraction):
    """Return the filters that stay when the channels of smallest |gamma| go.

    All channels of the network that can be removed and have a scale are ranked together. A
    channel with more than one scale (behind sums and depthwise convolutions) counts by its largest.
    No layer loses its last channel.

    Args:
        model: a built functional or Sequential `keras.Model`, as a rule trained with `slimming`.
        fraction: float in (0, 1), of these channels.

    Returns:
        dict, layer name -> indices of the filters that stay, for `remove_filters`.

    Raises:
        TypeError, ValueError: as `remove_filters`; no channel has a scale and can be removed.

    Example:

    >>> model = keras.Sequential(
    ...     [keras.Input((8, 8, 1)), keras.layers.Conv2D(4, 1, name="conv"),
    ...      keras.layers.BatchNormalization(center=False), keras.layers.GlobalMaxPooling2D(),
    ...      keras.layers.Dense(2)])
    >>> model.layers[1].set_weights([np.array([1.0, -3.0, 0.5, 2.0]), np.zeros(4), np.ones(4)])
    >>> slim_filters(model, 0.5)
    {'conv': array([1, 3])}

    Reference: Liu et al., 2017, section 3.
    """
    fraction = in_range("fraction", fraction)
    channels = follow_channels(model)
    scales = {}
    layers = {layer.name: layer for layer in graph_layers(model)}
    for name in channels.norms:
        layer = layers[name]
        if layer.scale:
            gamma = np.abs(keras.ops.convert_to_numpy(layer.gamma)).tolist()
            for number, scale in zip(channels.written[name].tolist(), gamma, strict=True):
                scales[number] = max(scales.get(number, 0.0), scale)
    made = {number for name in channels.makers for number in channels.written[name].tolist()}
    free = [number for number in sorted(scales) if number in made and number not in channels.fixed]
    if not free:
        raise ValueError(
            "`model` must have channels with a BatchNormalization scale that can be removed. "
            f"Received: {model.name!r}, without"
        )
    removed = set(sorted(free, key=scales.get)[: round(fraction * len(free))])
    for name in channels.makers:
        numbers = channels.written[name].tolist()
        if removed.issuperset(numbers):
            removed.remove(max(numbers, key=scales.get))
    return kept_without(channels, removed)


def slim(model, fraction):
    """Return a smaller copy of a model, without the channels of smallest |gamma|.

    `remove_filters(model, slim_filters(model, fraction))`.

    Args:
        model: a built functional or Sequential `keras.Model`, as a rule trained with `slimming`.
        fraction: float in (0, 1), of the channels that have a scale and can be removed.

    Returns:
        `keras.Model` of the same layers, narrower.

    Raises:
        TypeError, ValueError: as `slim_filters`.

    Example:

        small = slim(slimming_trained, 0.5)
        small.compile(keras.optimizers.SGD(0.001, momentum=0.9), loss)  # and 40 epochs more

    Reference: Liu et al., 2017.
    """
    return remove_filters(model, slim_filters(model, fraction))
