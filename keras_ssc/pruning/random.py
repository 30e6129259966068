"""Random masks: how many weights a layer keeps is chosen, which ones is left to chance."""

import numpy as np

from keras_ssc.arguments import integer
from keras_ssc.pruning.budget import keep_largest_per_layer
from keras_ssc.pruning.layer_counts import erk_counts, smart_ratio_counts, uniform_counts
from keras_ssc.pruning.masks import prunable_layers


def random_uniform(model, sparsity=None, *, keep=None, dense=(), seed=0):
    """Return random masks of the same density in every layer.

    The numbers are those of `uniform_counts`.

    Args:
        model: a built `keras.Model`.
        sparsity: float in [0, 1), of the whole network, or
        keep: int, the live weights of the whole network.
        dense: names of layers that stay dense; they get no mask.
        seed: int.

    Returns:
        dict, layer name -> bool array, for `apply_masks`.

    Raises:
        ValueError: see `weights_to_keep`.

    Example:

    >>> model = keras.Sequential([keras.Input((30,)), keras.layers.Dense(10, name="a"),
    ...                           keras.layers.Dense(5, name="b")])
    >>> masks = random_uniform(model, 0.9)
    >>> int(masks["a"].sum()), int(masks["b"].sum())
    (30, 5)

    Reference: the baseline of Liu et al., "The Unreasonable Effectiveness of Random Pruning",
    arXiv 2202.02643.
    """
    return random_masks(model, uniform_counts(model, sparsity, keep=keep, dense=dense), seed)


def random_erk(model, sparsity=None, *, keep=None, dense=(), seed=0):
    """Return random masks with the densities of the Erdős-Rényi-Kernel rule.

    The numbers are those of `erk_counts`: small layers are denser.

    Args:
        model: a built `keras.Model`.
        sparsity: float in [0, 1), of the whole network, or
        keep: int, the live weights of the whole network.
        dense: names of layers that stay dense; they get no mask.
        seed: int.

    Returns:
        dict, layer name -> bool array, for `apply_masks`.

    Raises:
        ValueError: see `weights_to_keep`.

    Example:

    >>> model = keras.Sequential([keras.Input((30,)), keras.layers.Dense(10, name="a"),
    ...                           keras.layers.Dense(5, name="b")])
    >>> masks = random_erk(model, 0.9)
    >>> int(masks["a"].sum()), int(masks["b"].sum())
    (25, 10)

    Reference: Evci et al., "Rigging the Lottery", arXiv 1911.11134.
    """
    return random_masks(model, erk_counts(model, sparsity, keep=keep, dense=dense), seed)


def smart_ratio(model, sparsity=None, *, keep=None, dense=(), vgg=False, seed=0):
    """Return random masks with the densities of the smart ratio ("random tickets").

    The numbers are those of `smart_ratio_counts`: ever fewer with depth, Dense layers at 30 %.

    Args:
        model: a built `keras.Model`.
        sparsity: float in [0, 1), of the whole network, or
        keep: int, the live weights of the whole network.
        dense: names of layers that stay dense; they get no mask.
        vgg: bool, the rule for VGG.
        seed: int.

    Returns:
        dict, layer name -> bool array, for `apply_masks`.

    Raises:
        ValueError: see `smart_ratio_counts`.

    Example:

    >>> model = keras.Sequential([
    ...     keras.Input((4, 4, 10)), keras.layers.Conv2D(10, 1, name="a"),
    ...     keras.layers.Conv2D(10, 1, name="b"), keras.layers.Dense(10, name="c")])
    >>> masks = smart_ratio(model, 0.8)
    >>> int(masks["a"].sum()), int(masks["b"].sum()), int(masks["c"].sum())
    (20, 10, 30)

    Reference: Su et al., "Sanity-Checking Pruning Methods", arXiv 2009.11094.
    """
    counts = smart_ratio_counts(model, sparsity, keep=keep, dense=dense, vgg=vgg)
    return random_masks(model, counts, seed)


def random_masks(model, counts, seed=0):
    """Return random masks with a given number of live weights in each layer.

    Args:
        model: a built `keras.Model`.
        counts: dict, layer name -> int.
        seed: int.

    Example:

    >>> model = keras.Sequential([keras.Input((30,)), keras.layers.Dense(10, name="a")])
    >>> int(random_masks(model, {"a": 7})["a"].sum())
    7
    """
    random = np.random.default_rng(integer("seed", seed, 0))
    layers = prunable_layers(model)
    scores = {name: random.random(layers[name].kernel.shape) for name in counts}
    return keep_largest_per_layer(scores, counts)
