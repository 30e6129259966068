"""L1-norm filter pruning: in each layer the filters with the smallest weights go."""

import keras
import numpy as np

from keras_ssc.arguments import fraction as in_range
from keras_ssc.model_graph import graph_layers
from keras_ssc.pruning.channel_groups import follow_channels
from keras_ssc.pruning.filters import kept_without


def l1_filters(model, fraction, dense=()):
    """Return the filters that stay when each layer loses those of smallest sum |w|.

        score[n] = sum_m,k |w[k, m, n]|

    Layers whose channels meet in a sum are ranked together, by the sum of their scores. Layers
    whose channels can't be removed (the classifier; see `remove_filters`) keep all. Biases don't
    count.

    Args:
        model: a built functional or Sequential `keras.Model`.
        fraction: float in (0, 1), of the filters of each layer, rounded; one filter always stays.
        dense: names of Conv2D and Dense layers that keep all filters.

    Returns:
        dict, layer name -> indices of the filters that stay, for `remove_filters`.

    Raises:
        TypeError, ValueError: as `remove_filters`; a name in `dense` is unknown; no layer can lose
            filters: the message says why, layer by layer.

    Example:

    >>> model = keras.Sequential(
    ...     [keras.Input((8, 8, 1)), keras.layers.Conv2D(4, 1, name="conv"),
    ...      keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2)])
    >>> model.layers[0].set_weights([np.reshape([1.0, -3.0, 0.5, 2.0], (1, 1, 1, 4)), np.ones(4)])
    >>> l1_filters(model, 0.5)
    {'conv': array([1, 3])}

    Reference: Li et al., "Pruning Filters for Efficient ConvNets", 2017; the paper's L1P.
    """
    fraction = in_range("fraction", fraction)
    channels = follow_channels(model)
    unknown = set(dense) - set(channels.makers)
    if unknown:
        raise ValueError(
            f"`dense` must name Conv2D (without groups) or Dense layers. Unknown: {sorted(unknown)}"
        )
    scores = _scores(model, channels)
    removed, blocked = set(), {}
    for names in layers_that_meet(channels):
        numbers = sorted({number for name in names for number in channels.written[name].tolist()})
        if why := next((channels.fixed[one] for one in numbers if one in channels.fixed), None):
            blocked.update(dict.fromkeys(names, why))
        if why or set(names) & set(dense):
            continue
        count = min(round(fraction * len(numbers)), len(numbers) - 1)
        removed.update(sorted(numbers, key=scores.get)[:count])
    if len(blocked) == len(channels.makers):
        reasons = [f"{name!r}: {why}" for name, why in blocked.items()]
        raise ValueError(
            "`model` must have a layer whose filters can be removed. Received: "
            f"{model.name!r}; {'; '.join(reasons) or 'no Conv2D or Dense layer'}"
        )
    return kept_without(channels, removed)


def _scores(model, channels):
    """{number of a channel: sum of the absolute weights of the filters that make it}."""
    scores, layers = {}, {layer.name: layer for layer in graph_layers(model)}
    for name in channels.makers:
        kernel = keras.ops.convert_to_numpy(layers[name].kernel).astype("float64")
        norms = np.abs(kernel).reshape(-1, kernel.shape[-1]).sum(axis=0)
        for number, norm in zip(channels.written[name].tolist(), norms.tolist(), strict=True):
            scores[number] = scores.get(number, 0.0) + norm
    return scores


def layers_that_meet(channels):
    """Return lists of names of layers that share channels, each layer in one list."""
    groups = []
    for name in channels.makers:
        numbers, names = set(channels.written[name].tolist()), [name]
        for group in [group for group in groups if group[0] & numbers]:
            groups.remove(group)
            numbers, names = numbers | group[0], group[1] + names
        groups.append((numbers, names))
    return [names for _, names in groups]
