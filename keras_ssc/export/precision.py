"""A model in mixed precision as one that computes in float32, as all exported files do."""

import re

import keras

from keras_ssc.model_copy import copy_graph
from keras_ssc.model_graph import ends, flat_layers

LOW = {"float16", "bfloat16"}


def in_float32(model):
    """Return a copy of `model` in which what computes in 16 bits computes in float32.

    The weights are the same (mixed precision keeps them in float32 anyway). A model without such
    layers is returned as it is.

    Args:
        model: functional or Sequential `keras.Model`, built; it is only read.

    Example:

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, dtype="mixed_bfloat16")])
    >>> [layer.compute_dtype for layer in in_float32(model).layers][-1]
    'float32'
    """
    if not LOW & set(compute_dtypes(model)):
        return model
    # Not compiled: losses and metrics are not exported.
    plain = keras.Model(*ends(model), name=model.name)
    copy, exchanged = copy_graph(plain, _in_float32)
    for old, new in exchanged:
        if isinstance(old, keras.layers.Layer):
            new.set_weights(old.get_weights())
    return copy


def compute_dtypes(model):
    """Return {dtype: name of the first layer that computes in it}.

    Example:

    >>> compute_dtypes(keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, name="one")]))
    {'float32': 'one'}
    """
    return {layer.compute_dtype: layer.name for layer in reversed(_layers(model))}


def _layers(model):
    return [layer for layer in flat_layers(model) if isinstance(layer, keras.layers.Layer)]


def _in_float32(layer):
    """A new layer with the dtype policies of 16 bits exchanged, or None where there are none."""
    config = layer.get_config()
    changed = _exchanged(config)
    return None if changed == config else type(layer).from_config(changed)


def _exchanged(config):
    """A config with other policies, also those of the layers inside the layer."""
    if isinstance(config, (list, tuple)):
        return type(config)(_exchanged(part) for part in config)
    if not isinstance(config, dict):
        return config
    if str(config.get("class_name")).endswith("DTypePolicy"):  # plain and quantized
        name = re.sub("(mixed_)?b?float16", "float32", config["config"]["name"])
        return config | {"config": config["config"] | {"name": name}}
    return {key: _exchanged(part) for key, part in config.items()}
