"""A graph of the layers of a model for inference, BatchNormalization folded into convolutions."""

import keras
import numpy as np

from keras_ssc.layer_copy import copied, copy_state, copy_trainable, merged_lora
from keras_ssc.layers import FusedBatchNormalization, SSCConv2D, channel_wise
from keras_ssc.layers.channel_wise import keras_class
from keras_ssc.layers.keras_bias import misplaces_bias
from keras_ssc.model_class import overridden
from keras_ssc.model_graph import call_graph, is_graph, is_input

CONVOLUTIONS = (SSCConv2D, keras.layers.Conv2D, keras.layers.DepthwiseConv2D)


class InferenceModelBuilder:
    """Walks through a functional model and calls a copy of each layer on new tensors.

    A BatchNormalization that follows a convolution is folded into it: its scale multiplies the
    filters, its offset joins the bias. The result has the name of the BatchNormalization, whose
    output it gives. LoRA is merged into its kernel. The model itself is only read.
    """

    def __init__(self):
        self.copies = []  # of layers and models: (old, new), models before what they hold
        self._layers = {}  # by key: (new layer, function that gives it its weights)
        self._names = {}  # how often a name was given
        self._sources = {}  # by id of a convolution's output: (output, layer, its input)
        self._steps = {}  # by id of one of our BatchNormalizations: Keras's layers in its place

    def build(self, model):
        """Return the inference model of `model`, a functional or Sequential model with weights."""
        new = self.walk(model)
        used = {id(layer) for layer in new.layers}
        for layer, fill in self._layers.values():
            if id(layer) in used and fill is not None:
                fill(layer)
        self.copies.insert(0, (model, new))
        copy_trainable([(old, new) for old, new in self.copies if isinstance(old, keras.Layer)])
        return new

    def walk(self, model):
        """Return the inference model of `model`, its weights not yet set."""
        if changed := {"call", "__call__"} & set(overridden(model)):
            raise ValueError(
                "`model` must compute what its graph says. Received: "
                f"{model.name!r} ({type(model).__name__}), with a {min(changed)} of its own"
            )
        inputs, outputs = call_graph(
            model, lambda layer: copied(layer) if is_input(layer) else layer, self.call
        )
        outputs = keras.tree.map_structure(self.natural, outputs)
        return keras.Model(inputs, outputs, name=model.name)

    def call(self, layer, *args, **kwargs):
        """Call a copy of `layer`: what `clone_model` does for each call in the graph, in order."""
        return self._call(layer, *args, **kwargs)

    def _call(self, layer, *args, **kwargs):
        if keras_class(layer) in CONVOLUTIONS:
            y = self.convolution(layer, None, args[0])
            linear = keras.activations.serialize(layer.activation) == "linear"
            if linear and (type(layer) is SSCConv2D or not misplaces_bias(layer, args[0].shape)):
                self._sources[id(y)] = (y, layer, args[0])
            return y
        if type(layer) is FusedBatchNormalization:
            return self._in_steps(layer, args[0], kwargs.get("residual"))
        if keras_class(layer) is keras.layers.BatchNormalization and id(args[0]) in self._sources:
            _, source, x = self._sources[id(args[0])]
            if self.on_channels(layer, source):
                return self.convolution(source, layer, x)
        return self.other(layer, args, kwargs)

    def on_channels(self, norm, convolution):
        """Whether a BatchNormalization works on the channels of a convolution's output."""
        channel_axis = -1 if convolution.data_format == "channels_last" else 1
        return norm.axis % 4 == channel_axis % 4

    def _in_steps(self, layer, x, residual):
        """A FusedBatchNormalization in steps: its normalisation, then the sum, then the ReLU."""
        if id(layer) not in self._steps:
            self._steps[id(layer)] = keras_steps(layer)
        norm, add, relu = self._steps[id(layer)]
        y = self._call(norm, x)
        if residual is not None:
            y = self._call(add, [y, residual])
        return self._call(relu, y) if layer.activation else y

    def natural(self, x):
        """Return `x` with its channels in the model's own order."""
        return x

    def convolution(self, layer, norm, x):
        """Return the output on `x` of a convolution and a BatchNormalization (or None)."""
        return self.alike(layer, norm, x, lambda: folded_weights(layer, norm))

    def alike(self, layer, norm, x, values, order=b"", residual=None, behind=(), **changes):
        """Return the output on `x` of a convolution of the same kind as `layer`.

        `behind` are the layers whose work it does too: a sum, a ReLU.
        """
        kernel = "depthwise" if isinstance(layer, keras.layers.DepthwiseConv2D) else "kernel"

        def make():
            config = {
                "name": self.new_name((norm or layer, *behind)[-1].name),
                "use_bias": layer.use_bias or norm is not None,
                f"{kernel}_initializer": "zeros",  # the values are set afterwards
                f"{kernel}_regularizer": None,
            }
            return copied(layer, **config, **changes, **merged_lora(layer)[0])

        originals = (layer, norm, *behind)
        new = self.layer_for(originals, make, lambda new: self.fill(new, values()), order)
        return new(x) if residual is None else new(x, residual=residual)

    def other(self, layer, args, kwargs):
        """Return the output of a copy of any other layer."""
        if is_graph(layer):
            new = self.layer_for((layer,), lambda: self.nested(layer), None)
        elif isinstance(layer, keras.Layer):
            changes, weights = merged_lora(layer)

            def fill(new):
                copy_state(layer, new) if weights is None else new.set_weights(weights)

            new = self.layer_for((layer,), lambda: copied(layer, **changes), fill)
        else:
            new = self.layer_for((layer,), lambda: copied(layer), None)
        return new(*args, **kwargs)

    def nested(self, model):
        """Return the inference model of a nested model."""
        builder = self.another()
        new = builder.build(model)
        self.copies += builder.copies
        return new

    def another(self):
        """Return a builder for a nested model."""
        return type(self)()

    def fill(self, layer, values):
        """Give a new layer its weights."""
        layer.set_weights(values)

    def layer_for(self, originals, make, fill, order=b""):
        """Return the layer that `make` makes, the same one for the same originals and order."""
        key = (*map(id, originals), order)
        if key not in self._layers:
            self._layers[key] = (make(), fill)
            if not is_graph(originals[0]):
                self.copies.append((originals[0], self._layers[key][0]))
        return self._layers[key][0]

    def new_name(self, name):
        """Return `name`, numbered from its second use on."""
        uses = self._names[name] = self._names.get(name, -1) + 1
        return f"{name}_{uses}" if uses else name


def keras_steps(layer):
    """Return a BatchNormalization with the weights of a fused one, an Add, and a ReLU."""
    config = layer.get_config()
    config.pop("activation")
    norm = channel_wise.BatchNormalization.from_config(config)
    norm.build_from_config(layer.get_build_config())
    norm.set_weights(layer.get_weights())
    add = channel_wise.Add(name=f"{layer.name}_add", dtype=layer.dtype_policy)
    relu = channel_wise.ReLU(name=f"{layer.name}_relu", dtype=layer.dtype_policy)
    return norm, add, relu


def folded_weights(layer, norm):
    """Return [*kernels, bias] of a convolution, scaled and shifted; without bias if it has none."""
    values = merged_weights(layer)
    if norm is None:
        return values
    bias = values.pop() if layer.use_bias else 0.0
    scale, offset = scale_and_offset(norm)
    if isinstance(layer, SSCConv2D):
        scales = [scale[filters] for _, _, filters in layer.pattern.matrices]
    elif isinstance(layer, keras.layers.DepthwiseConv2D):
        scales = [scale.reshape(values[0].shape[2:])]
    else:
        scales = [scale]
    kernels = [kernel * each for kernel, each in zip(values, scales, strict=True)]
    return [*kernels, bias * scale + offset]


def merged_weights(layer):
    """Return the weights of a layer, LoRA merged into its kernel."""
    _, weights = merged_lora(layer)
    return layer.get_weights() if weights is None else weights


def scale_and_offset(norm):
    """Return (scale, offset) per channel of a BatchNormalization at inference."""
    mean, variance = (
        np.asarray(keras.ops.convert_to_numpy(v)) for v in (norm.moving_mean, norm.moving_variance)
    )
    gamma = keras.ops.convert_to_numpy(norm.gamma) if norm.scale else 1.0
    beta = keras.ops.convert_to_numpy(norm.beta) if norm.center else 0.0
    scale = gamma / np.sqrt(variance + norm.epsilon)
    return scale, beta - mean * scale
