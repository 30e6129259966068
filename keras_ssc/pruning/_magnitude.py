"""Magnitude: what is largest stays."""

import numpy as np

from keras_ssc.arguments import one_of
from keras_ssc.pruning.budget import keep_largest, keep_largest_per_layer, weights_to_keep
from keras_ssc.pruning.layer_counts import uniform_counts
from keras_ssc.pruning.masks import kernels


def magnitude(model, sparsity=None, *, keep=None, dense=(), scope="global"):
    """Return masks of the weights of largest magnitude.

        score = |w|

    Args:
        model: a built `keras.Model`.
        sparsity: float in [0, 1), of the whole network, or
        keep: int, the live weights of the whole network.
        dense: names of layers that stay dense; they get no mask.
        scope: `"global"`: all layers are ranked together; `"layer"`: each for itself, at the same
            density.

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
    scope = one_of("scope", scope, ("global", "layer"))
    keep_all, names = weights_to_keep(model, sparsity, keep, dense)
    weights = kernels(model)
    scores = {name: np.abs(weights[name]) for name in names}
    if scope == "global":
        return keep_largest(scores, keep_all)
    return keep_largest_per_layer(scores, uniform_counts(model, sparsity, keep=keep, dense=dense))
