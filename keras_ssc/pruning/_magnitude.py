"""Magnitude: what is largest stays."""

import keras
import numpy as np

from keras_ssc.arguments import one_of
from keras_ssc.pruning.budget import keep_largest, keep_largest_per_layer, weights_to_keep
from keras_ssc.pruning.layer_counts import uniform_counts
from keras_ssc.pruning.masks import kernels, prunable_layers


def magnitude(model, sparsity=None, *, keep=None, dense=(), scope="global"):
    """Return masks of the weights of largest magnitude.

        score = |w|

    Args:
        model: a built `keras.Model`.
        sparsity: float in [0, 1), of the whole network, or
        keep: int, the live weights of the whole network.
        dense: names of layers that stay dense; they get no mask.
        scope: `"global"`: all layers are ranked together; `"layer"`: each for itself, at the same
            density; `"filter"`: each filter (output of a Dense layer) for itself, so that all of a
            layer have equally many weights, or one more.

    Returns:
        dict, layer name -> bool array, for `apply_masks`.

    Raises:
        ValueError: see `weights_to_keep`; or `scope` is something else.

    Example:

    >>> model = keras.Sequential([keras.Input((30,)), keras.layers.Dense(10, name="a")])
    >>> masks = magnitude(model, 0.9)
    >>> kept = np.abs(model.layers[0].kernel.numpy())[masks["a"]]
    >>> len(kept), bool(kept.min() > 0.3)
    (30, True)

    Reference: Han et al., "Learning both Weights and Connections", arXiv 1506.02626.
    """
    scope = one_of("scope", scope, ("global", "layer", "filter"))
    keep_all, names = weights_to_keep(model, sparsity, keep, dense)
    weights = kernels(model)
    scores = {name: np.abs(weights[name]) for name in names}
    if scope == "global":
        return keep_largest(scores, keep_all)
    counts = uniform_counts(model, sparsity, keep=keep, dense=dense)
    if scope == "layer":
        return keep_largest_per_layer(scores, counts)
    layers = prunable_layers(model)
    return {name: _per_filter(layers[name], scores[name], counts[name]) for name in names}


def _per_filter(layer, score, count):
    """A mask with `count` entries, evenly over the filters; the odd ones by the largest score."""
    axes = 2 if isinstance(layer, keras.layers.DepthwiseConv2D) else 1  # (channel, multiplier)
    filters = int(np.prod(score.shape[-axes:]))
    columns = score.reshape(-1, filters)
    order = np.argsort(-columns, axis=0, kind="stable")
    each, odd = divmod(count, filters)
    mask = np.zeros(columns.shape, bool)
    np.put_along_axis(mask, order[:each], True, axis=0)
    if odd:
        following = np.take_along_axis(columns, order[each : each + 1], axis=0)[0]
        chosen = np.argsort(-following, kind="stable")[:odd]
        mask[order[each, chosen], chosen] = True
    return mask.reshape(score.shape)
