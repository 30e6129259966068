"""Where Keras's own convolutions add their bias along the wrong axis."""

import functools

import numpy as np
from keras import ops


def misplaces_bias(layer, input_shape):
    """Whether Keras would add the bias of a layer along the columns of its output.

    On TensorFlow, `keras.ops.add` of Keras 3.15 takes a bias shaped (1, filters, 1, 1) for one of
    the last axis if that is as long: a channels_first convolution with as many filters as columns
    then adds bias[column] in place of bias[filter].

    Args:
        layer: Conv2D, DepthwiseConv2D, or SSCConv2D, which itself adds it right.
        input_shape: tuple.

    Example:

    >>> misplaces_bias(keras.layers.Conv2D(8, 3, padding="same"), (None, 8, 8, 8))
    False
    """
    if layer.data_format != "channels_first" or not _add_misplaces():
        return False
    _, filters, _, columns = layer.compute_output_shape(tuple(input_shape))
    return filters == columns and filters > 1


def check_bias(layer):
    """Refuse a layer of ours that can't become one of Keras's with equal outputs.

    Raises:
        ValueError: Keras would add its bias, which is not 0, along the columns.

    Example:

    >>> layer = keras_ssc.SSCConv2D(8, 3)
    >>> layer.build((None, 8, 8, 8))
    >>> check_bias(layer)
    """
    if not layer.use_bias or not hasattr(layer, "data_format"):
        return
    shape = layer.get_build_config()["input_shape"]
    if misplaces_bias(layer, shape) and np.any(ops.convert_to_numpy(layer.bias)):
        raise ValueError(
            "`model` must not have a channels_first convolution with as many filters as columns "
            "and a bias: this version of Keras adds it along the wrong axis. Received: "
            f"{layer.name!r} on an input of shape {tuple(shape)}"
        )


@functools.cache
def _add_misplaces():
    """Try it: the fault is that of a version and a backend."""
    bias = ops.reshape(ops.arange(2.0), (1, 2, 1, 1))
    both = ops.convert_to_numpy(ops.add(ops.zeros((1, 2, 1, 2)), bias))
    return both[0, 1, 0, 0] != 1
