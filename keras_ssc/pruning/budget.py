"""How many weights stay, and which: exact counts, ties decided by index."""

import numpy as np

from keras_ssc.arguments import fraction
from keras_ssc.arguments import names as list_of_names
from keras_ssc.pruning.masks import check_kernels, prunable_layers


def weights_to_keep(model, sparsity=None, keep=None, dense=()):
    """Return (how many weights of the layers that may be pruned stay, the names of these layers).

    The wanted sparsity is that of the network: 1 - live / all over the kernels of every
    prunable layer, also of those that stay dense.

    Args:
        model: a built `keras.Model`.
        sparsity: float in [0, 1), or
        keep: int, the live weights of the whole network.
        dense: names of layers that stay dense.

    Raises:
        ValueError: both or none of `sparsity` and `keep` are given, one is out of range, a name
            is unknown, or the dense layers alone have more weights than may stay; LoRA is enabled
            in a layer that may be pruned, or it is quantized.

    Example:

    >>> model = keras.Sequential([keras.Input((30,)), keras.layers.Dense(5)])
    >>> weights_to_keep(model, 0.9)[0]
    15

    Reference: GraSP's definition of the ratio (paper, section 4).
    """
    if (sparsity is None) == (keep is None):
        raise ValueError(
            f"Give either `sparsity` or `keep`. Received: sparsity={sparsity}, keep={keep}"
        )
    layers = prunable_layers(model)
    sizes = {name: int(np.prod(layer.kernel.shape)) for name, layer in layers.items()}
    dense = list_of_names("dense", dense)
    unknown = set(dense) - set(sizes)
    if unknown:
        raise ValueError(f"`dense` must name prunable layers. Unknown: {sorted(unknown)}")
    total = sum(sizes.values())
    if keep is None:
        if isinstance(sparsity, bool) or not _is_zero(sparsity):
            sparsity = fraction("sparsity", sparsity)
        keep = round((1 - sparsity) * total)
    elif isinstance(keep, bool) or not isinstance(keep, int) or not 0 < keep <= total:
        raise ValueError(f"`keep` must be an integer in 1 ... {total}. Received: keep={keep!r}")
    names = [name for name in sizes if name not in dense]
    left = keep - sum(sizes[name] for name in dense)
    if left < 0 or not names:
        raise ValueError(
            f"`dense` leaves nothing to prune: of {total} weights {keep} may stay, and these "
            f"layers have {sum(sizes[name] for name in dense)}. Received: dense={sorted(dense)}"
        )
    check_kernels({name: layers[name] for name in names})
    return left, names


def _is_zero(value):
    return isinstance(value, (int, float)) and value == 0


def keep_largest(scores, keep):
    """Return masks that keep the `keep` entries of largest score of all layers together.

    Equal scores stay in the order of layers and entries, so the count is exact.

    Args:
        scores: dict, layer name -> array.
        keep: int, in 0 ... number of entries.

    Returns:
        dict, layer name -> bool array.

    Raises:
        ValueError: a score is NaN, or `keep` is out of range.

    Example:

    >>> keep_largest({"a": np.array([3.0, 1.0]), "b": np.array([2.0, 2.0])}, 2)
    {'a': array([ True, False]), 'b': array([ True, False])}
    """
    flat = np.concatenate([np.ravel(score) for score in scores.values()])
    if np.isnan(flat).any():
        bad = [name for name, score in scores.items() if np.isnan(score).any()]
        raise ValueError(f"`scores` must be numbers. Received: NaN in the layers {bad}")
    if not 0 <= keep <= flat.size:
        raise ValueError(f"`keep` must be in 0 ... {flat.size}. Received: keep={keep}")
    chosen = np.zeros(flat.size, bool)
    if keep:  # a partition: to sort all takes twenty times as long
        least = np.partition(flat, -keep)[-keep]
        chosen = flat > least
        chosen[np.flatnonzero(flat == least)[: keep - np.count_nonzero(chosen)]] = True
    parts = np.split(chosen, np.cumsum([np.size(score) for score in scores.values()])[:-1])
    return {
        name: part.reshape(np.shape(score))
        for (name, score), part in zip(scores.items(), parts, strict=True)
    }


def keep_largest_per_layer(scores, counts):
    """Return masks that keep, in each layer, its own number of entries of largest score.

    Args:
        scores: dict, layer name -> array.
        counts: dict, layer name -> int.

    Example:

    >>> keep_largest_per_layer({"a": np.array([3.0, 1.0])}, {"a": 1})
    {'a': array([ True, False])}
    """
    masks = {}
    for name, score in scores.items():
        masks |= keep_largest({name: score}, counts[name])
    return masks


def share_counts(shares, sizes, keep):
    """Return integers, one for each layer, that add up to `keep`, nearest to their shares.

    A layer whose share exceeds its size becomes dense, and the others share what is left in
    proportion; the last weights go to the largest remainders.

    Args:
        shares: dict, layer name -> float > 0, in any unit.
        sizes: dict, layer name -> int, weights of the dense layer.
        keep: int, at most the sum of the sizes.

    Example:

    >>> share_counts({"a": 3.0, "b": 1.0}, {"a": 5, "b": 10}, 8)
    {'a': 5, 'b': 3}
    """
    full = set()
    while True:
        left = keep - sum(sizes[name] for name in full)
        free = sum(shares[name] for name in sizes if name not in full)
        wanted = {n: shares[n] * left / free if n not in full else float(sizes[n]) for n in sizes}
        more = {name for name in sizes if name not in full and wanted[name] > sizes[name]}
        if not more:
            break
        full |= more
    counts = {name: int(wanted[name]) for name in sizes}
    by_remainder = sorted(sizes, key=lambda name: counts[name] - wanted[name])
    open_ones = [name for name in by_remainder if counts[name] < sizes[name]]
    for name in open_ones[: keep - sum(counts.values())]:
        counts[name] += 1
    return counts
