"""Lower SSC layers to standard operations, and track channel orders to avoid reorderings.

A grouped convolution wants its input by residue class (channels 0, g, 2g, ..., then 1, g + 1, ...)
and gives its output so. Where the next layers do not mind the order, or can take it into their
kernels, it is left so: a chain of SSC layers with one g needs no reordering at all. Dense
convolutions can give their filters in any order, so a first walk through the model finds out in
which order their readers want them.
"""

import keras
import numpy as np

from keras_ssc.channel_classes import filters_by_reads, is_by_class, residues_first
from keras_ssc.export import lowered_convolution as forms
from keras_ssc.export.inference_model import InferenceModelBuilder, folded_weights, merged_weights
from keras_ssc.export.lowered_convolution import Reorder
from keras_ssc.export.packing import PackedKernel
from keras_ssc.layer_copy import copied, merged_lora
from keras_ssc.layers import SSCConv2D
from keras_ssc.layers.channel_wise import keras_class
from keras_ssc.model_graph import ELEMENTWISE

# Layers that treat every channel alike.
ORDER_FREE = (
    keras.layers.Add,
    keras.layers.AveragePooling2D,
    keras.layers.Dropout,
    keras.layers.GlobalAveragePooling2D,
    keras.layers.GlobalMaxPooling2D,
    keras.layers.MaxPooling2D,
    keras.layers.ReLU,
    keras.layers.ZeroPadding2D,
)


def lower(model, narrowest_group):
    """Return (lowered, packed): the lowered model, and its packed kernels.

    Args:
        model: functional or Sequential model with weights; only read.
        narrowest_group: int, channels of a group from which on the grouped form is the faster one
            in the runtime; below, an SSC layer becomes a dense convolution.

    Returns:
        A functional model, and a dict, id of one of its variables -> `PackedKernel` of its values.
    """
    first = LoweringBuilder(narrowest_group, {})
    first.walk(model)
    second = LoweringBuilder(narrowest_group, first.wanted)
    return second.build(model), second.packed


class LoweringBuilder(InferenceModelBuilder):
    """Builds the lowered model; arguments and attributes as for `lower`.

    `wishes` are the orders in which the outputs of dense convolutions were wanted in an earlier
    walk: dict, key of a convolution -> {order's bytes: order}. `wanted` are those of this walk.
    """

    def __init__(self, narrowest_group, wishes):
        super().__init__()
        self.packed = {}
        self.wanted = {}
        self._narrowest_group = narrowest_group
        self._wishes = wishes
        self._roots = {}  # by id: (tensor, keys of the dense convolutions that set its order)
        self._orders = {}  # by id: (tensor, channel order), for those not in natural order
        self._reordered = {}  # by (id of a tensor, order): the reordered tensor

    def order(self, x):
        """Channel order of `x`: position j holds the model's channel order[j]."""
        return self._orders[id(x)][1] if id(x) in self._orders else np.arange(x.shape[-1])

    def noted(self, x, order):
        """Return `x`, its order noted."""
        if not np.array_equal(order, np.arange(len(order))):
            self._orders[id(x)] = (x, order)
        return x

    def reorder(self, x, order):
        """Return `x` in another channel order."""
        now = self.order(x)
        if np.array_equal(now, order):
            return x
        self._want(x, order)
        key = (id(x), order.tobytes())
        if key not in self._reordered:
            self._reordered[key] = self.noted(Reorder(np.argsort(now)[order])(x), order)
        return self._reordered[key]

    def natural(self, x):
        """Return `x` with its channels in the model's own order."""
        if id(x) in self._roots:
            self._want(x, np.arange(x.shape[-1]))
        return self.reorder(x, np.arange(x.shape[-1])) if id(x) in self._orders else x

    def _want(self, x, order):
        for key in self._roots_of(x):
            self.wanted.setdefault(key, {})[order.tobytes()] = order

    def _roots_of(self, x):
        return self._roots[id(x)][1] if id(x) in self._roots else set()

    def nested(self, model):
        """Return the lowered form of a nested model."""
        builder = self.another()
        new = builder.build(model)
        self.copies += builder.copies
        self.packed |= builder.packed
        self.wanted |= builder.wanted
        return new

    def another(self):
        """Return a builder for a nested model."""
        return LoweringBuilder(self._narrowest_group, self._wishes)

    def fill(self, layer, values):
        """Give a new layer its weights; note which are packed kernels."""
        for variable, value in zip(layer.weights, values, strict=True):
            if isinstance(value, PackedKernel):
                self.packed[id(variable)] = value
                value = value.expanded()
            variable.assign(value)

    def other(self, layer, args, kwargs):
        """Return the output of a copy of a layer that is no convolution."""
        if hasattr(layer, "get_vocabulary"):
            raise ValueError(
                '`format` must be "keras", or words be looked up before the model. Received: layer '
                f"{layer.name!r} ({type(layer).__name__}) with a vocabulary"
            )
        inputs = keras.tree.flatten(args)
        orders = [self.order(x) for x in inputs if id(x) in self._orders]
        if _order_free(layer) and len({x.shape[-1] for x in inputs}) == 1:
            order = orders[0] if orders else np.arange(inputs[0].shape[-1])
            args = keras.tree.map_structure(lambda x: self.reorder(x, order), args)
            y = self.noted(super().other(layer, args, kwargs), order)
            self._roots[id(y)] = (y, set().union(*map(self._roots_of, inputs)))
            return y
        if orders and type(layer) is keras.layers.Dense and _is_float(layer):
            return self._classifier(layer, args[0])
        args, kwargs = keras.tree.map_structure(self.natural, (args, kwargs))
        return super().other(layer, args, kwargs)

    def _classifier(self, layer, x):
        """A Dense layer on channels in another order: the lines of its kernel are reordered."""
        order = self.order(x)

        def make():
            return copied(layer, name=self.new_name(layer.name), **merged_lora(layer)[0])

        def fill(new):
            kernel, *bias = merged_weights(layer)
            new.set_weights([kernel[order], *bias])

        return self.layer_for((layer,), make, fill, order.tobytes())(x)

    def convolution(self, layer, norm, x):
        """Return the output on `x` of a convolution and a BatchNormalization (or None)."""
        if isinstance(layer, SSCConv2D):
            if layer.data_format == "channels_last":
                return self._sparse(layer, norm, x)
            y = self._sparse(
                layer, norm, keras.layers.Permute((2, 3, 1), dtype=layer.dtype_policy)(x)
            )
            y = keras.layers.Permute((3, 1, 2), dtype=layer.dtype_policy)(self.natural(y))
            return keras.layers.Activation(layer.activation, dtype=layer.dtype_policy)(y)
        if layer.data_format == "channels_first":
            return super().convolution(layer, norm, self.natural(x))
        if isinstance(layer, keras.layers.DepthwiseConv2D):
            return self._depthwise(layer, norm, x)
        if layer.groups > 1:
            order = np.arange(layer.filters)
            return self._standard(layer, norm, self.natural(x), list, layer.groups, order)
        return self._dense(layer, norm, x)

    def _dense(self, layer, norm, x):
        """A plain Conv2D: takes its input in any order, gives its output as its readers want it."""
        key = (id(layer), id(norm))
        into, order = self.order(x), np.arange(layer.filters)
        if len(self._wishes.get(key, ())) == 1:
            (order,) = self._wishes[key].values()

        def kernels(values):
            return [kernel[:, :, into][..., order] for kernel in values]

        y = self.noted(self._standard(layer, norm, x, kernels, 1, order), order)
        self._roots[id(y)] = (y, {key})
        return y

    def _depthwise(self, layer, norm, x):
        """A depthwise convolution; with one filter a channel it keeps the order of its input."""
        if layer.depth_multiplier > 1:
            return super().convolution(layer, norm, self.natural(x))
        order = self.order(x)

        def values():
            kernel, *bias = folded_weights(layer, norm)
            return [kernel[:, :, order], *(each[order] for each in bias)]

        return self.noted(self.alike(layer, norm, x, values, order.tobytes()), order)

    def _sparse(self, layer, norm, x):
        """An SSC layer, channels last, in the form that the runtime likes better."""
        pattern, order = layer.pattern, filters_by_reads(layer.pattern)
        groups, pack = 1, forms.packed_dense
        if not _elementwise(layer.activation):
            order = np.arange(pattern.filters)
        elif not forms.why_not_grouped(layer, self._narrowest_group):
            groups, pack = pattern.g, forms.packed_groups
            if not is_by_class(self.order(x), groups):
                x = self.reorder(x, residues_first(pattern.in_channels, groups))
        into = self.order(x)

        def kernels(matrices):
            return pack(matrices, pattern, into, order)

        return self.noted(self._standard(layer, norm, x, kernels, groups, order), order)

    def _standard(self, layer, norm, x, kernels, groups, order):
        """A dense or grouped convolution of `x` in the place of `layer`.

        `kernels` gives its kernels from those of `layer`, BatchNormalization folded in.
        """
        bias = layer.use_bias or norm is not None

        def make():
            name = self.new_name((norm or layer).name)
            return forms.empty_layer(layer, name, groups, bias)

        def values():
            weights = folded_weights(layer, norm)
            biases = [weights.pop()[order]] if bias else []
            return [*kernels(weights), *biases]

        def fill(new):
            self.fill(new, values())

        return self.layer_for((layer, norm), make, fill, self.order(x).tobytes())(x)


def _is_float(layer):
    return layer.dtype_policy.quantization_mode is None


def _elementwise(activation):
    return keras.activations.serialize(activation) in ELEMENTWISE


def _order_free(layer):
    """Whether a layer treats every channel alike, the last axis being the channels."""
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        return False
    if keras_class(layer) is keras.layers.Activation:
        return _elementwise(layer.activation)
    return keras_class(layer) in ORDER_FREE
