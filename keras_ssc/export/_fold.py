"""The inference model in Keras: BatchNormalization, sum and ReLU inside the convolutions."""

import collections
import functools
from dataclasses import dataclass, replace

import keras

from keras_ssc.export.inference_model import InferenceModelBuilder, folded_weights
from keras_ssc.layers import SSCConv2D
from keras_ssc.layers.channel_wise import keras_class
from keras_ssc.model_graph import check_graph, graph_layers


def fold(model):
    """Return a copy of a trained model for inference, with fewer passes over its activations.

    A BatchNormalization behind a convolution becomes part of its weights and bias:

        w' = w * gamma / sqrt(variance + epsilon),    b' = beta + (b - mean) * gamma / sqrt(...)

    and the residual sum and the ReLU behind it, by `layers.FusedBatchNormalization` or by layers of
    their own, are done by the convolution itself where that is an SSCConv2D. The outputs are those
    of `model(x, training=False)`, to rounding. The copy is not meant for training.

    Args:
        model: a built functional or Sequential `keras.Model`; it is only read. Models inside it
            are folded too.

    Returns:
        `keras.Model`, not compiled.

    Raises:
        TypeError: `model` is no Keras model.
        ValueError: it is subclassed, not built, or holds a layer that its config can't make anew.

    Example:

    >>> model = keras_ssc.applications.ResNet20(sparsity=0.9)
    >>> folded = keras_ssc.fold(model)
    >>> sum("bn" in layer.name for layer in model.layers), len(folded.layers) < len(model.layers)
    (21, True)

    Reference: Jacob et al., "Quantization and Training of Neural Networks for Efficient
    Integer-Arithmetic-Only Inference", section 3.2.
    """
    check_graph(model)
    return _folded(model)[0]


def _folded(model):
    """(folded model, its builder); a first walk finds out what is read once."""
    first = _FoldingBuilder(frozenset())
    if any(_is_sum(layer) or _is_relu(layer) for layer in graph_layers(model)):
        first.walk(model)
    second = _FoldingBuilder(first.read_once())
    return second.build(model), second


@dataclass(frozen=True)
class _Open:
    """A convolution, linear so far, that can do more: what it was called on and stands for."""

    source: SSCConv2D
    norm: keras.layers.Layer | None
    x: keras.KerasTensor
    residual: keras.KerasTensor | None = None
    behind: tuple = ()


class _FoldingBuilder(InferenceModelBuilder):
    """An inference model whose sums and ReLUs are part of the convolutions too.

    Args:
        once: the calls whose results one other call reads and nothing else, each as (id of the
            layer, how often it was called before).
    """

    def __init__(self, once):
        super().__init__()
        self._once = once
        self._calls = collections.Counter()  # of a layer, by id
        self._reads = collections.Counter()  # of the result of a call
        self._made = {}  # by id of a tensor: (tensor, the call that gave it)
        self._open = {}  # by id of a tensor: (tensor, _Open)

    def read_once(self):
        """Return what `once` is, after a walk."""
        return frozenset(call for call, reads in self._reads.items() if reads == 1)

    def call(self, layer, *args, **kwargs):
        """Call a copy of `layer`; note who reads what."""
        for x in keras.tree.flatten((args, kwargs)):
            self._note_read(x)
        own = (id(layer), self._calls[id(layer)])
        self._calls[id(layer)] += 1
        y = super().call(layer, *args, **kwargs)
        self._made |= {id(one): (one, own) for one in keras.tree.flatten(y)}
        return y

    def natural(self, x):
        """Return an output of the model, which is read by its caller."""
        self._note_read(x)
        return super().natural(x)

    def _note_read(self, x):
        if id(x) in self._made:
            self._reads[self._made[id(x)][1]] += 1

    def nested(self, model):
        """Return the folded model of a nested model."""
        new, builder = _folded(model)
        self.copies += builder.copies
        return new

    def _call(self, layer, *args, **kwargs):
        if args and _is_sum(layer) and len(args[0]) == 2:
            one, other = args[0]
            for y, residual in ((other, one), (one, other)):
                found = self._opened(y, layer)
                alike = (y.shape, y.dtype) == (residual.shape, residual.dtype)
                if found and found.residual is None and alike:
                    return self._more(found, layer, "linear", residual=residual)
        if args and _is_relu(layer) and (found := self._opened(args[0], layer)):
            return self._more(found, layer, "relu")
        return super()._call(layer, *args, **kwargs)

    def _opened(self, y, layer):
        """The convolution that gave `y` for this `layer` alone, or None."""
        _, found = self._open.get(id(y), (None, None))
        alone = id(y) in self._made and self._made[id(y)][1] in self._once
        same = found and layer.compute_dtype == found.source.compute_dtype
        return found if alone and same else None

    def _more(self, found, layer, activation, **more):
        """The output of a convolution that does the work of `layer` too."""
        found = replace(found, behind=(*found.behind, layer), **more)
        values = functools.partial(folded_weights, found.source, found.norm)
        y = self.alike(
            found.source,
            found.norm,
            found.x,
            values,
            residual=found.residual,
            behind=found.behind,
            activation=activation,
        )
        if activation == "linear":
            self._open[id(y)] = (y, found)
        return y

    def convolution(self, layer, norm, x):
        """Return the output on `x` of a convolution and a BatchNormalization (or None)."""
        y = super().convolution(layer, norm, x)
        linear = keras.activations.serialize(layer.activation) == "linear"
        if type(layer) is SSCConv2D and linear:
            self._open[id(y)] = (y, _Open(layer, norm, x))
        return y

    def _in_steps(self, layer, x, residual):
        if id(x) in self._sources:
            _, source, inputs = self._sources[id(x)]
            takes_sum = residual is None or type(source) is SSCConv2D
            if takes_sum and self.on_channels(layer, source):
                values = functools.partial(folded_weights, source, layer)
                finish = {"activation": layer.activation or "linear"}
                return self.alike(source, layer, inputs, values, residual=residual, **finish)
        return super()._in_steps(layer, x, residual)


def _is_sum(layer):
    return keras_class(layer) is keras.layers.Add


def _is_relu(layer):
    """Whether a layer cuts at zero and does nothing else."""
    if keras_class(layer) is keras.layers.Activation:
        return keras.activations.serialize(layer.activation) == "relu"
    if keras_class(layer) is not keras.layers.ReLU:
        return False
    return layer.max_value is None and not layer.negative_slope and not layer.threshold
