"""How many weights each layer keeps: equal densities, Erdős-Rényi-Kernel, smart ratio."""

import keras
import numpy as np

from keras_ssc.arguments import boolean
from keras_ssc.pruning.budget import share_counts, weights_to_keep
from keras_ssc.pruning.masks import prunable_layers


def uniform_counts(model, sparsity=None, *, keep=None, dense=()):
    """Return how many weights each layer keeps if all have the same density.

        count_l = density * size_l, rounded so that the sum is exact

    Args:
        model: a built `keras.Model`.
        sparsity: float in [0, 1), of the whole network, or
        keep: int, the live weights of the whole network.
        dense: names of layers that stay dense; they are not in the result.

    Returns:
        dict, layer name -> int.

    Raises:
        ValueError: see `weights_to_keep`.

    Example:

    >>> model = keras.Sequential([keras.Input((30,)), keras.layers.Dense(10, name="a"),
    ...                           keras.layers.Dense(5, name="b")])
    >>> uniform_counts(model, 0.9)
    {'a': 30, 'b': 5}
    """
    keep, names = weights_to_keep(model, sparsity, keep, dense)
    sizes = _sizes(model, names)
    return share_counts(sizes, sizes, keep)


def erk_counts(model, sparsity=None, *, keep=None, dense=()):
    """Return how many weights each layer keeps by the Erdős-Rényi-Kernel rule.

        density_l = min(1, e * (n_in + n_out + kh + kw) / (n_in * n_out * kh * kw))

    with e solved so that the sum is exact; for Dense layers without kh and kw. The denominator is
    the size of the layer, so the count is e times the sum of the kernel's shape; that is also the
    rule here for depthwise layers, whose kernel is (kh, kw, n_in, multiplier).

    Args:
        model: a built `keras.Model`.
        sparsity: float in [0, 1), of the whole network, or
        keep: int, the live weights of the whole network.
        dense: names of layers that stay dense; they are not in the result.

    Returns:
        dict, layer name -> int.

    Raises:
        ValueError: see `weights_to_keep`.

    Example:

    >>> model = keras.Sequential([keras.Input((30,)), keras.layers.Dense(10, name="a"),
    ...                           keras.layers.Dense(5, name="b")])
    >>> erk_counts(model, 0.9)
    {'a': 25, 'b': 10}

    Reference: Evci et al., "Rigging the Lottery", arXiv 1911.11134.
    """
    keep, names = weights_to_keep(model, sparsity, keep, dense)
    layers = prunable_layers(model)
    shares = {name: float(sum(layers[name].kernel.shape)) for name in names}
    return share_counts(shares, _sizes(model, names), keep)


def smart_ratio_counts(model, sparsity=None, *, keep=None, dense=(), vgg=False):
    """Return how many weights each layer keeps by the smart ratio: ever fewer with depth.

        density_l ~ (L - l + 1)^2 + (L - l + 1), for VGG divided by l^2        (l = 1 ... L)

    Dense layers keep 30 %. What does not fit into a layer goes to the layers behind it; what does
    not fit there either, to those with room.

    Args:
        model: a built `keras.Model`; its prunable layers are counted from 1 to L, in its order.
        sparsity: float in [0, 1), of the whole network, or
        keep: int, the live weights of the whole network.
        dense: names of layers that stay dense; they are not in the result.
        vgg: bool, the rule for VGG.

    Returns:
        dict, layer name -> int.

    Raises:
        ValueError: see `weights_to_keep`; or 30 % of the Dense layers are more than may stay.

    Example:

    >>> model = keras.Sequential([
    ...     keras.Input((4, 4, 10)), keras.layers.Conv2D(10, 1, name="a"),
    ...     keras.layers.Conv2D(10, 1, name="b"), keras.layers.Dense(10, name="c")])
    >>> smart_ratio_counts(model, 0.8)
    {'a': 20, 'b': 10, 'c': 30}

    Reference: Su et al., "Sanity-Checking Pruning Methods", arXiv 2009.11094.
    """
    boolean("vgg", vgg)
    keep, names = weights_to_keep(model, sparsity, keep, dense)
    sizes, layers = _sizes(model, names), prunable_layers(model)
    shares = {n: 0.3 * sizes[n] for n in names if isinstance(layers[n], keras.layers.Dense)}
    left = keep - sum(shares.values())
    if left < 0:
        raise ValueError(
            "`sparsity` or `keep` leaves too little: the smart ratio keeps 30 % of the Dense "
            f"layers, {round(sum(shares.values()))} weights. Received: {keep} that may stay"
        )
    wanted = {}
    for index, name in enumerate(layers, start=1):
        if name in names and name not in shares:
            rest = len(layers) - index + 1
            wanted[name] = (rest**2 + rest) / (index**2 if vgg else 1) * sizes[name]
    overflow, scale = 0.0, left / sum(wanted.values()) if wanted else 0.0
    for name in wanted:
        fitting = min(scale * wanted[name] + overflow, sizes[name])
        overflow += scale * wanted[name] - fitting
        shares[name] = fitting
    counts = share_counts(shares, sizes, keep)
    return {name: counts[name] for name in names}


def _sizes(model, names):
    layers = prunable_layers(model)
    return {name: int(np.prod(layers[name].kernel.shape)) for name in names}
