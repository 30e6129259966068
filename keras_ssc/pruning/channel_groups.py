"""Which channels of a model belong together: what has to go when a filter goes.

A walk through the graph gives each channel of each tensor a number. Layers that treat channels one
by one hand the numbers on; where two channels meet in a sum, their numbers become one.
"""

import collections

import keras
import numpy as np

from keras_ssc.layer_copy import copied
from keras_ssc.layers import FusedBatchNormalization
from keras_ssc.layers.channel_wise import keras_class
from keras_ssc.model_class import overridden
from keras_ssc.model_copy import copy_graph
from keras_ssc.model_graph import ELEMENTWISE, call_graph, graph_layers, is_graph, is_input

MAKERS = (keras.layers.Conv2D, keras.layers.Dense)
NORMS = (keras.layers.BatchNormalization, FusedBatchNormalization)
_ALIKE = (  # layers that do the same with every channel
    keras.layers.AveragePooling2D, keras.layers.Cropping2D, keras.layers.Dropout,
    keras.layers.ELU, keras.layers.GlobalAveragePooling2D, keras.layers.GlobalMaxPooling2D,
    keras.layers.Identity, keras.layers.LeakyReLU, keras.layers.MaxPooling2D, keras.layers.ReLU,
    keras.layers.SpatialDropout2D, keras.layers.UpSampling2D, keras.layers.ZeroPadding2D,
)  # fmt: skip
_SUMS = (
    keras.layers.Add, keras.layers.Average, keras.layers.Maximum, keras.layers.Minimum,
    keras.layers.Multiply, keras.layers.Subtract,
)  # fmt: skip


class ChannelGroups:
    """The channels of a functional or Sequential model, numbered; made by `follow_channels`.

    Attributes:
        read, written: dicts, layer name -> int array (channels,): the numbers of what a layer
            takes and gives; for Conv2D, DepthwiseConv2D, Dense and BatchNormalization. Of the
            inputs of nested models `written` alone.
        axes: dict, name of a nested model's input layer -> axis of its channels.
        makers: names of the layers whose filters are the channels: Conv2D and Dense.
        norms: names of the BatchNormalization layers.
        fixed: dict, number -> why this channel can't be removed.
    """

    def __init__(self, shared_names=()):
        self.read, self.written, self.makers, self.norms = {}, {}, [], []
        self.fixed, self.axes = {}, {}
        self._shared_names = shared_names  # of two layers: these are not followed
        self._parents = []  # by number: the number it was joined to, or its own
        self._tensors = {}  # by id: (tensor, axis of its channels, their numbers)
        self._unknown = {}  # by id: (tensor, where it comes from), where that can't be followed

    def joined(self):
        """Return self, the numbers of channels that belong together made equal."""
        for numbers in (self.read, self.written):
            numbers.update((name, self._roots(ids)) for name, ids in numbers.items())
        reasons = {}
        for number, why in self.fixed.items():
            reasons.setdefault(self._root(number), why)
        self.fixed = reasons
        return self

    def call(self, layer, *args, **kwargs):
        """Call a layer, and number the channels of what it gives."""
        if is_graph(layer) and "call" not in overridden(layer):
            return self._nested(layer, *args, **kwargs)
        y = layer(*args, **kwargs)
        tensors = keras.tree.flatten((args, kwargs))
        inputs = [x for x in tensors if isinstance(x, keras.KerasTensor)]
        what = f"{layer.name!r} ({type(layer).__name__})"
        found = self._followed(layer, inputs, y)
        if found is None:
            for x in inputs:
                self.keep_all(x, f"{what} reads them, and can't be followed")
            for one in keras.tree.flatten(y):
                self._unknown[id(one)] = (one, f"from {what}, which can't be followed")
        else:
            self._tensors[id(y)] = (y, *found)
            if not _elementwise(getattr(layer, "activation", None)):
                self.keep_all(y, f"the activation of {what} can't be followed")
        return y

    def _nested(self, model, *args, **kwargs):
        """Call a nested model, and follow its layers on inputs that stand for what it reads."""
        y = model(*args, **kwargs)
        given = iter(keras.tree.flatten(args))

        def entry(layer):
            if not is_input(layer):
                return layer
            new, x = copied(layer), next(given)
            self._same(x, new.output)
            if id(x) in self._tensors:
                _, axis, numbers = self._tensors[id(x)]
                if (
                    layer.name in self._shared_names
                    or self.axes.setdefault(layer.name, axis) != axis
                ):
                    self.keep_all(x, f"{layer.name!r} reads them in more than one way")
                elif layer.name in self.written:
                    self._join(self.written[layer.name], numbers)
                else:
                    self.written[layer.name] = numbers
            return new

        _, outputs = call_graph(model, entry, self.call)
        for inner, outer in zip(*map(keras.tree.flatten, (outputs, y)), strict=True):
            self._same(inner, outer)
        return y

    def _same(self, x, y):
        """Note that `y` has the channels of `x`."""
        for known in (self._tensors, self._unknown):
            if id(x) in known:
                known[id(y)] = (y, *known[id(x)][1:])

    def keep_all(self, x, why):
        """Note that no channel of `x` may be removed."""
        if id(x) in self._tensors:
            self.fixed.update(dict.fromkeys(self._tensors[id(x)][2].tolist(), why))

    def _followed(self, layer, inputs, y):
        """(axis, numbers) of the output, or None where the layer can't be followed."""
        if not inputs:
            return None
        kind, x = keras_class(layer), inputs[0]
        if layer.name in self._shared_names:
            return None
        if kind in MAKERS and _is_plain(layer):
            axis = _axis(layer, x)
            read = self._numbers(x, axis)
            written = self.written.get(layer.name)
            if written is None:
                self.makers.append(layer.name)
                written = self._new(y.shape[axis])
            return axis, self._noted(layer, read, written)
        if kind is keras.layers.DepthwiseConv2D and len(inputs) == 1:
            axis = _axis(layer, x)
            read = self._numbers(x, axis)
            return axis, self._noted(layer, read, np.repeat(read, layer.depth_multiplier))
        if kind in NORMS and all(one.shape == x.shape for one in inputs):
            axis = layer.axis % len(x.shape)
            numbers = self._numbers(x, axis)
            if layer.name not in self.norms:
                self.norms.append(layer.name)
            numbers = self._noted(layer, numbers, numbers)
            for residual in inputs[1:]:
                self._join(numbers, self._numbers(residual, axis))
            return axis, numbers
        return self._handed_on(layer, inputs, y)

    def _handed_on(self, layer, inputs, y):
        """(axis, numbers) of the output of a layer without weights; None: can't be followed."""
        kind, x = keras_class(layer), inputs[0]
        known = [self._tensors[id(x)] for x in inputs if id(x) in self._tensors]
        if not known:
            return None
        axis = known[0][1]
        if kind in _ALIKE or (kind is keras.layers.Activation and _elementwise(layer.activation)):
            if axis != _axis(layer, x, default=axis):
                return None
            pooled = len(y.shape) < len(x.shape)  # to a vector
            return 1 if pooled else axis, known[0][2]
        if kind is keras.layers.Flatten:
            return (
                None if None in x.shape[1:] else (1, _flat(layer, x.shape[1:], axis, known[0][2]))
            )
        if kind is keras.layers.Concatenate and layer.axis % len(x.shape) == axis:
            return axis, np.concatenate([self._numbers(x, axis) for x in inputs])
        if kind in _SUMS and len({(len(x.shape), *x.shape[axis:][:1]) for x in inputs}) == 1:
            first, *others = [self._numbers(x, axis) for x in inputs]
            for other in others:
                self._join(first, other)
            return axis, first
        return None

    def _numbers(self, x, axis):
        """The numbers of the channels of `x`; where they are not known, new ones, all kept."""
        if id(x) in self._tensors and self._tensors[id(x)][1] == axis:
            return self._tensors[id(x)][2]
        self.keep_all(x, "another axis is read as channels")
        _, origin = self._unknown.get(id(x), (x, "of the model's inputs"))
        numbers = self._new(x.shape[axis])
        self.fixed.update(dict.fromkeys(numbers.tolist(), f"they meet channels {origin}"))
        return numbers

    def _noted(self, layer, read, written):
        """Note a layer, and return what it gives; a shared one joins all that it reads."""
        if layer.name in self.read:
            self._join(self.read[layer.name], read)
        else:
            self.read[layer.name], self.written[layer.name] = read, written
        return self.written[layer.name]

    def _new(self, count):
        start = len(self._parents)
        self._parents.extend(range(start, start + count))
        return np.arange(start, start + count)

    def _root(self, number):
        while self._parents[number] != number:
            number = self._parents[number]
        return number

    def _roots(self, numbers):
        return np.array([self._root(number) for number in numbers.tolist()], int)

    def _join(self, these, those):
        for a, b in zip(self._roots(these), self._roots(those), strict=True):
            # Roots anew: an earlier pair may have moved them.
            a, b = self._root(a), self._root(b)
            self._parents[max(a, b)] = min(a, b)


def follow_channels(model):
    """Return the `ChannelGroups` of a model.

    Followed are Conv2D (without groups), DepthwiseConv2D, Dense, BatchNormalization (Keras's and
    ours), pooling, padding, dropout, elementwise activations, Flatten, Concatenate, sums and
    products, also inside nested models. All other layers keep the channels they read and give
    whole.

    Args:
        model: a built functional or Sequential `keras.Model`; it is only read.

    Raises:
        TypeError, ValueError: it is subclassed, not built, or can't be copied.

    Example:

    >>> x = keras.Input((8, 8, 3))
    >>> y = keras.layers.Conv2D(4, 1, name="one")(x)
    >>> z = keras.layers.Conv2D(4, 1, name="two")(x)
    >>> model = keras.Model(x, keras.layers.Conv2D(1, 1)(keras.layers.Add()([y, z])))
    >>> channels = follow_channels(model)
    >>> bool((channels.written["one"] == channels.written["two"]).all())
    True
    """
    # The walk calls the layers anew, which `model` would remember: a copy is called.
    copy, _ = copy_graph(model)
    names = collections.Counter(layer.name for layer in graph_layers(copy))
    channels = ChannelGroups({name for name, count in names.items() if count > 1})
    _, outputs = call_graph(
        copy, lambda layer: copied(layer) if is_input(layer) else layer, channels.call
    )
    for y in keras.tree.flatten(outputs):
        channels.keep_all(y, "they are outputs of the model")
    return channels.joined()


def _is_plain(layer):
    """Whether a Conv2D or Dense layer has its kernel and bias only, and reads all channels."""
    return getattr(layer, "groups", 1) == 1 and len(layer.weights) == 1 + layer.use_bias


def _axis(layer, x, default=None):
    """The axis of `x` that a layer reads as channels: the last one where it has no format."""
    data_format = getattr(layer, "data_format", None)
    if data_format is None:
        return len(x.shape) - 1 if default is None else default
    return 1 if data_format == "channels_first" else len(x.shape) - 1


def _elementwise(activation):
    return (
        activation is None
        or keras.activations.serialize(keras.activations.get(activation)) in ELEMENTWISE
    )


def _flat(layer, shape, axis, numbers):
    """The numbers of the entries that Flatten makes of a tensor of `shape`."""
    sizes = [1] * len(shape)
    sizes[axis - 1] = len(numbers)
    grid = np.broadcast_to(numbers.reshape(sizes), shape)
    if layer.data_format == "channels_first":
        grid = np.moveaxis(grid, 0, -1)  # as Flatten does
    return grid.reshape(-1)
