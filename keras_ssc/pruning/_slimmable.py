"""A network that trains at many widths at once, for AutoSlim."""

import contextlib
import math

import keras
import numpy as np
from keras import ops

from keras_ssc.arguments import integer
from keras_ssc.layers.channel_wise import keras_class
from keras_ssc.model_copy import copy_graph
from keras_ssc.model_graph import graph_layers
from keras_ssc.pruning.channel_groups import follow_channels
from keras_ssc.pruning.filter_norms import layers_that_meet
from keras_ssc.pruning.log_probabilities import log_probabilities
from keras_ssc.sparsity import fraction


class Widths:
    """The groups of channels that have one width, their choices, and the width of the moment.

    Attributes:
        choices: list, for each group an ascending list of ints: channels that may stay.
        of: dict, number of a channel -> (group, its place there from 0); channels that always stay
            are not in it.
        now: None (all channels), or an int tensor (groups,): the first so many channels of each
            group stay.
    """

    def __init__(self, channels, steps, narrowest):
        self.choices, self.of, self.now = [], {}, None
        for names in layers_that_meet(channels):
            place = {}
            for name in names:
                for index, number in enumerate(channels.written[name].tolist()):
                    place[number] = min(index, place.get(number, index))
            if any(number in channels.fixed for number in place):
                continue
            for rank, number in enumerate(sorted(place, key=lambda one: (place[one], one))):
                self.of[number] = (len(self.choices), rank)
            self.choices.append(_choices(len(place), steps, narrowest))

    @contextlib.contextmanager
    def set(self, widths):
        """Compute at these widths within the block."""
        before, self.now = self.now, widths
        try:
            yield
        finally:
            self.now = before

    def staying(self, numbers, widths):
        """Return which channels stay at given widths: bool array, for NumPy `widths`."""
        found = [self.of.get(number) for number in numbers.tolist()]
        return np.array([one is None or one[1] < widths[one[0]] for one in found], bool)

    def gate(self, numbers):
        """Return a function: tensor of ones and zeros (channels,), of the widths of the moment."""
        found = [self.of.get(number, (-1, -1)) for number in numbers.tolist()]
        groups = np.array([group for group, _ in found], "int32")
        ranks = np.array([rank for _, rank in found], "int32")

        def values():
            widths = ops.take(ops.convert_to_tensor(self.now, "int32"), np.maximum(groups, 0))
            return ops.less(ops.convert_to_tensor(ranks), widths)

        return values if (groups >= 0).any() else None


def _choices(channels, steps, narrowest):
    least = math.ceil(channels * narrowest)
    found = {math.ceil(channels * k / steps) for k in range(1, steps + 1)}
    return sorted({least} | {count for count in found if count > least})


class _Gated:
    """A layer that reads nothing of the channels that are not there at the widths of the moment."""

    widths, gate = None, None

    def call(self, inputs):
        """Compute with what stays of the inputs."""
        if self.gate is not None and self.widths.now is not None:
            values = ops.cast(self.gate(), inputs.dtype)
            if getattr(self, "data_format", None) == "channels_first":
                values = ops.reshape(values, (-1, 1, 1))
            inputs = inputs * values
        return super().call(inputs)


class _GatedConv2D(_Gated, keras.layers.Conv2D):
    pass


class _GatedDense(_Gated, keras.layers.Dense):
    pass


class Slimmable(keras.Model):
    """What `slimmable` returns: a `keras.Model` whose `fit` trains many widths in each step.

    Attributes:
        widths: `Widths`.
        channels: `ChannelGroups` of the model.

    Example:

    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, name="one"),
    ...                           keras.layers.Dense(2, "softmax")])
    >>> keras_ssc.pruning.slimmable(model, steps=4).widths.choices
    [[1, 2, 3, 4]]
    """

    def prepare(self, widths, channels, samples, from_logits, seed):
        """Take what a training needs beside the graph."""
        self.widths, self.channels, self.samples = widths, channels, samples
        self.from_logits = from_logits
        self.draws = keras.random.SeedGenerator(seed)

    def drawn(self):
        """Return random widths: int tensor (samples, groups), each group's choice by itself."""
        longest = max(map(len, self.widths.choices))
        padded = [one + one[-1:] * (longest - len(one)) for one in self.widths.choices]
        counts = np.array(list(map(len, self.widths.choices)), "float32")
        shape = (self.samples, len(counts))
        places = ops.floor(keras.random.uniform(shape, seed=self.draws) * counts)
        places = ops.cast(ops.minimum(places, counts - 1), "int32")  # 1.0 by rounding
        return ops.take_along_axis(ops.convert_to_tensor(np.array(padded, "int32").T), places, 0)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Return the loss of the widest network, and in training what the narrower ones add.

            cross-entropy(labels, widest) + sum over the narrower of -sum p log q

        p is what the widest network says, as a constant.
        """
        loss = super().compute_loss(x, y, y_pred, sample_weight, training)
        if not training:
            return loss
        p = ops.stop_gradient(ops.exp(log_probabilities(y_pred, self.from_logits)))
        drawn = self.drawn()
        narrowest = np.array([one[0] for one in self.widths.choices], "int32")
        for widths in [narrowest, *(drawn[k] for k in range(self.samples))]:
            with self.widths.set(widths):
                q = log_probabilities(self(x, training=True), self.from_logits)
            loss = loss - ops.mean(ops.sum(p * q, axis=-1))
        return loss


def slimmable(model, steps=10, narrowest=0.25, *, samples=2, from_logits=False, seed=0):
    """Return a copy of a model that trains at many widths at once.

    Channels that meet in a sum or pass a depthwise layer have one width. A group of n channels has
    the widths ceil(n k / steps), k = 1 ... steps, from ceil(n narrowest) on; the first channels
    stay. In each step of `fit`, on one batch:

        loss = cross-entropy(labels, widest) + sum over (narrowest, `samples` random widths) of
               -sum p log q

    with p the widest network's probabilities as a constant, q those of the narrower network, and
    BatchNormalization with each one's own moments; its moving moments mean nothing afterwards.
    A channel that is not there is read by no layer: the outputs are those of the narrow network.

    Args:
        model: a built functional or Sequential `keras.Model` that gives class probabilities (or
            logits), with one input and one output. Its weights are copied; it is not touched.
        steps: int, widths of a group.
        narrowest: float in (0, 1), the least share of its channels.
        samples: int, random widths in each step.
        from_logits: bool, whether the model gives logits.
        seed: int, for the random widths.

    Returns:
        `Slimmable`, a `keras.Model` to compile and fit; for `autoslim_filters`.

    Raises:
        TypeError, ValueError: as `remove_filters`; an argument is out of range; no layer can lose
            filters.

    Example:

    >>> x, y = np.ones((8, 3), "float32"), np.arange(8) % 2
    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, "relu", name="one"),
    ...                           keras.layers.Dense(2, "softmax")])
    >>> wide = slimmable(model)
    >>> wide.compile("sgd", "sparse_categorical_crossentropy")
    >>> losses = wide.fit(x, y, verbose=0).history["loss"]  # of four networks

    Reference: Yu and Huang, "AutoSlim", arXiv 1903.11728; "Universally slimmable networks", arXiv
    1903.05134.
    """
    steps, samples = integer("steps", steps, 1), integer("samples", samples, 0)
    narrowest, seed = fraction("narrowest", narrowest), integer("seed", seed, 0)
    channels = follow_channels(model)
    widths = Widths(channels, steps, narrowest)
    if not widths.choices:
        raise ValueError(
            f"`model` must have a layer whose filters can be removed. Received: {model.name!r}"
        )
    gated = {keras.layers.Conv2D: _GatedConv2D, keras.layers.Dense: _GatedDense}

    def exchange(layer):
        if layer.name not in channels.makers:
            return None
        new = gated[keras_class(layer)].from_config(layer.get_config())
        new.widths, new.gate = widths, widths.gate(channels.read[layer.name])
        return new

    copy, exchanged = copy_graph(model, exchange)
    for old, new in exchanged:
        new.set_weights(old.get_weights())
    wide = Slimmable(copy.inputs[0], copy.outputs[0], name=copy.name)
    wide.prepare(widths, channels, samples, from_logits, seed)
    return wide


def kernels_of(model):
    """Return {layer name: layer} of the layers of a model that have a kernel."""
    return {layer.name: layer for layer in graph_layers(model) if hasattr(layer, "kernel")}
