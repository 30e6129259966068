"""A sparse model made dense again, with equal outputs."""

import keras

from keras_ssc.layers import SSCConv2D
from keras_ssc.layers.channel_wise import keras_class
from keras_ssc.layers.keras_bias import check_bias
from keras_ssc.model_copy import copy_graph
from keras_ssc.model_graph import check_graph, graph_layers, held_layers, walk


def densify(model):
    """Return a copy of a model whose SSCConv2D layers are Conv2D with the same kernels.

    The outputs are equal, to rounding; the zeros are stored and computed with. `model` is not
    touched.

    Args:
        model: a built functional or Sequential `keras.Model`; models inside it are converted too.

    Returns:
        `keras.Model` of standard Keras layers (and, from the builders,
        `layers.FusedBatchNormalization`, `ShuffleSplit`), compiled like `model` if that is.

    Raises:
        TypeError: `model` is no Keras model.
        ValueError: the model is subclassed, not built, holds no SSCConv2D, or one inside a wrapper
            or a layer of your own; it was folded (the order is `fold(densify(model))`); Keras would
            add the bias of a channels_first layer along its columns.

    Example:

    >>> model = keras.Sequential([keras.Input((8, 8, 64)), keras_ssc.SSCConv2D(64, 3, g=8, p=3)])
    >>> type(densify(model).layers[0]).__name__
    'Conv2D'
    """
    check_graph(model)
    _check_reach(model)
    copy, exchanged = copy_graph(model, _dense_layer, keras_class)
    if not exchanged:
        raise ValueError(f"`model` must hold an SSCConv2D layer. Received: {model.name!r}")
    for old, new in exchanged:
        check_bias(old)
        bias = [old.bias] if old.use_bias else []
        new.set_weights([keras.ops.convert_to_numpy(one) for one in (old.kernel, *bias)])
    return copy


def _check_reach(model):
    """Refuse a model in which a layer holds an SSCConv2D: only the graph's own are exchanged."""
    for layer in graph_layers(model):
        inside = [one for one in walk(layer, held_layers) if isinstance(one, SSCConv2D)]
        if inside and inside != [layer]:
            raise ValueError(
                "`model` must not hold an SSCConv2D inside another layer, where it can't be "
                f"exchanged. Received: {inside[0].name!r} inside {layer.name!r} "
                f"({type(layer).__name__})"
            )


def _dense_layer(layer):
    """An unbuilt Conv2D with the settings of an SSCConv2D, None for other layers."""
    if not isinstance(layer, SSCConv2D):
        return None
    config, known = layer.get_config(), keras.layers.Conv2D(1, 1).get_config()
    return keras.layers.Conv2D.from_config({name: config[name] for name in config if name in known})
