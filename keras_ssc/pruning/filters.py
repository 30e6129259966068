"""Removes complete filters: a smaller model of the same kind, without masks."""

import numpy as np

from keras_ssc.arguments import dictionary
from keras_ssc.layer_copy import copied
from keras_ssc.model_copy import copy_graph
from keras_ssc.model_graph import is_input
from keras_ssc.pruning.channel_groups import follow_channels


def remove_filters(model, kept):
    """Return a smaller copy of a model: only the named filters of some layers are left.

    Removing a filter also removes its BatchNormalization entries, its depthwise kernel and the
    matching inputs of later layers. Channels that meet in a sum go together: naming one of
    their layers is enough. Weights are copied, compile settings too (the optimizer starts anew);
    names stay.

    Args:
        model: a built functional or Sequential `keras.Model`; it is not touched.
        kept: dict, name of a Conv2D or Dense layer -> indices of the filters that stay, ascending.

    Returns:
        `keras.Model` of the same layers, narrower.

    Raises:
        TypeError: `model` is no Keras model.
        ValueError: the model is subclassed or not built; a name or an index is unknown; a layer
            would be left without filters; two layers disagree about channels that meet; or the
            channels reach the model's output, or a layer that can't be followed (Reshape, grouped
            convolutions, SSCConv2D, layers of your own).

    Example:

    >>> model = keras.Sequential(
    ...     [keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3, name="conv"),
    ...      keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2, name="classifier")])
    >>> small = remove_filters(model, {"conv": [0, 3]})
    >>> small.get_layer("conv").filters, small.get_layer("classifier").kernel.shape == (2, 2)
    (2, True)

    Reference: Li et al., "Pruning Filters for Efficient ConvNets", 2017, section 3.
    """
    channels = follow_channels(model)
    removed = _removed(channels, kept)

    def exchange(layer):
        if is_input(layer):
            return _narrower_input(layer, channels, removed)
        if layer.name not in channels.read:
            return None
        into, out = (
            _stays(part[layer.name], removed) for part in (channels.read, channels.written)
        )
        if into.all() and out.all():
            return None
        config = layer.get_config()
        for size in ("filters", "units"):
            if size in config:
                config[size] = int(out.sum())
        return type(layer).from_config(config)

    copy, exchanged = copy_graph(model, exchange)
    for old, new in exchanged:
        if is_input(old):
            continue
        into, out = (_stays(part[old.name], removed) for part in (channels.read, channels.written))
        new.set_weights([_cut(weight, into, out) for weight in old.get_weights()])
    return copy


def _narrower_input(layer, channels, removed):
    """The input layer of a nested model that reads fewer channels; None where it reads all."""
    if layer.name not in channels.axes:
        return None
    stays = _stays(channels.written[layer.name], removed)
    if stays.all():
        return None
    shape = list(layer.batch_shape)
    shape[channels.axes[layer.name]] = int(stays.sum())
    return copied(layer, batch_shape=tuple(shape))


def kept_without(channels, removed):
    """Return {layer name: indices of the filters that stay} once some channels are removed.

    Args:
        channels: `ChannelGroups`.
        removed: set of their numbers.
    """
    stays = {name: _stays(channels.written[name], removed) for name in channels.makers}
    return {name: np.flatnonzero(one) for name, one in stays.items() if not one.all()}


def _stays(numbers, removed):
    return np.array([number not in removed for number in numbers.tolist()], bool)


def _cut(weight, into, out):
    """The part of a weight that stays: kernels end with (channels in, channels out)."""
    if weight.ndim == 1:
        return weight[out] if weight.shape == out.shape else weight
    weight = weight[..., into, :]
    return (
        weight[..., out] if weight.shape[-1] == len(out) else weight
    )  # depthwise kernels: in only


def _removed(channels, kept):
    """The numbers of the channels to remove, once the wish is checked."""
    removed, staying = {}, {}
    for name, indices in dictionary("kept", kept).items():
        if name not in channels.makers:
            raise ValueError(
                f"`kept` must name Conv2D (without groups) or Dense layers. Received: {name!r}, "
                f"but these are: {channels.makers}"
            )
        numbers = channels.written[name].tolist()
        stays = set(_checked(name, indices, len(numbers)))
        for index, number in enumerate(numbers):
            (staying if index in stays else removed).setdefault(number, name)
    for number, name in removed.items():
        if number in channels.fixed:
            raise ValueError(
                f"`kept` can't remove filters of {name!r}: {channels.fixed[number]}. "
                f"Received: {name!r} in `kept`"
            )
        if number in staying:
            raise ValueError(
                "`kept` must say the same of layers whose channels meet. Received: different "
                f"filters of {name!r} and {staying[number]!r}"
            )
    for name in channels.makers:
        if not _stays(channels.written[name], removed).any():
            raise ValueError(f"`kept` must leave filters. Received: none are left of {name!r}")
    return set(removed)


def _checked(name, indices, count):
    """The indices as a list, if they are some of 0 ... count - 1 in ascending order."""
    indices = np.asarray(indices)
    good = indices.ndim == 1 and len(indices) and np.issubdtype(indices.dtype, np.integer)
    if not good or indices[0] < 0 or indices[-1] >= count or (np.diff(indices) <= 0).any():
        raise ValueError(
            f"`kept[{name!r}]` must be indices of filters, ascending, in 0 ... {count - 1}. "
            f"Received: {indices.tolist()}"
        )
    return indices.tolist()
