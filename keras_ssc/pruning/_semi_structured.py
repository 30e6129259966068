"""N of every M weights stay, as 2 of 4: what the sparse units of some GPUs can skip."""

import keras
import numpy as np

from keras_ssc.arguments import integer
from keras_ssc.arguments import names as list_of_names
from keras_ssc.pruning.masks import check_kernels, kernels, prunable_layers


def semi_structured(model, n=2, m=4, *, dense=()):
    """Return masks in which n of every m weights live: the largest of m neighbouring channels.

        score = |w|;  groups: input channels m i, ..., m i + m - 1 of one tap of one filter

    Conv2D and Dense layers get a mask. Depthwise ones, which have a single input channel a filter,
    and layers whose input channels can't be divided by m, as the first one's three, stay dense.

    Args:
        model: a built `keras.Model`.
        n: int in 1 ... m - 1, the weights of a group that live.
        m: int, at least 2, the size of a group.
        dense: names of layers that stay dense; they get no mask.

    Returns:
        dict, layer name -> bool array, for `apply_masks`.

    Raises:
        ValueError: n or m is out of range, a name is unknown, or no layer can have such a mask.

    Example:

    >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(3, name="one")])
    >>> semi_structured(model)["one"].reshape(2, 4, 3).sum(axis=1)
    array([[2, 2, 2],
           [2, 2, 2]])

    Reference: Mishra et al., "Accelerating Sparse Deep Neural Networks", arXiv 2104.08378.
    """
    integer("m", m, 2)
    if integer("n", n, 1) >= m:
        raise ValueError(f"`n` must be less than `m`. Received: n={n}, m={m}")
    layers = prunable_layers(model)
    if unknown := set(list_of_names("dense", dense)) - set(layers):
        raise ValueError(f"`dense` must name prunable layers. Unknown: {sorted(unknown)}")
    fitting = {
        name: layer
        for name, layer in layers.items()
        if name not in dense
        and not isinstance(layer, keras.layers.DepthwiseConv2D)
        and layer.kernel.shape[-2] % m == 0
    }
    if not fitting:
        raise ValueError(
            f"`m` must divide the input channels of a layer that may be pruned. Received: m={m}, "
            f"input channels { ({name: one.kernel.shape[-2] for name, one in layers.items()}) }"
        )
    check_kernels(fitting)
    weights = kernels(model)
    return {name: _mask(np.abs(weights[name]), n, m) for name in fitting}


def _mask(score, n, m):
    groups = score.reshape(*score.shape[:-2], -1, m, score.shape[-1])
    order = np.argsort(-groups, axis=-2, kind="stable")
    mask = np.zeros(groups.shape, bool)
    np.put_along_axis(mask, order[..., :n, :], True, axis=-2)
    return mask.reshape(score.shape)
