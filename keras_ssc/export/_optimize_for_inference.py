"""A model for inference in as few operations as can be."""

import functools

import keras
import numpy as np

from keras_ssc.arguments import one_of
from keras_ssc.export._fold import fold
from keras_ssc.export.inference_model import CONVOLUTIONS, scale_and_offset
from keras_ssc.layers.channel_wise import keras_class
from keras_ssc.layers.inference_network import PRODUCTS, InferenceNetwork
from keras_ssc.layers.network_steps import serves
from keras_ssc.model_graph import calls_of, is_graph


def optimize_for_inference(model, dtype="float32"):
    """Return a copy of a trained model for fast inference on a CPU: the network is one operation.

    The model is folded (see `fold`), then all layers in a row that the native library can compute
    become one layer, `layers.InferenceNetwork`: convolutions sparse and dense, depthwise ones,
    pooling, sums, ReLU, concatenation, dense layers. The others stay as they are. The outputs are
    those of `model(x, training=False)`, to rounding.

    The copy can be saved to a .keras file, and loaded where keras_ssc is; it can't be trained. For
    other runtimes, `export` the model itself. On a GPU, and where there is no compiler, it is as
    fast as `fold(model)`, since its layers compute.

    With `dtype="bfloat16"` convolutions multiply numbers that are rounded to bfloat16 (8 bits of
    precision), two at a time, and add the products up in float32; all arrays between the layers
    stay float32. That takes a CPU with AVX512_BF16 (AMD from Zen 4 on, Intel from Cooper Lake and
    Sapphire Rapids on). Elsewhere, where layers compute in place of the native operation, and in
    convolutions that would not be faster (depthwise ones, of fewer than 16 channels), float32 is
    multiplied, which is more exact.

    Args:
        model: a built functional or Sequential `keras.Model`, channels last; it is only read.
            Models inside it are optimized too.
        dtype: "float32", or "bfloat16": of the products in convolutions.

    Returns:
        `keras.Model`, not compiled.

    Raises:
        TypeError: `model` is no Keras model.
        ValueError: it is subclassed, not built, or holds a layer that its config can't make anew;
            `dtype` is another one.

    Example:

    >>> model = keras_ssc.applications.ResNet20(sparsity=0.9)
    >>> fast = keras_ssc.optimize_for_inference(model)
    >>> [type(layer).__name__ for layer in fast.layers]
    ['InputLayer', 'InferenceNetwork', 'Activation']
    """
    products = one_of("dtype", dtype, PRODUCTS)
    return _optimized(fold(model), products)


def _optimized(folded, products):
    """The copy of a folded model, whose layers are used in it."""
    others = {}

    def change(layer, args, kwargs):
        if is_graph(layer):
            make = functools.partial(_optimized, products=products)
        elif _is_linear(layer, args, kwargs):
            make, kwargs = _as_convolution, {}
        else:
            return layer, args, kwargs
        if id(layer) not in others:  # one that is called twice stays one
            others[id(layer)] = make(layer)
        return others[id(layer)], args, kwargs

    inputs, outputs, calls = calls_of(folded, change)
    groups = _groups(calls)
    new = {
        id(x): keras.Input(batch_shape=x.shape, dtype=x.dtype, name=one.name)
        for x, one in zip(keras.tree.flatten(inputs), folded.inputs, strict=True)
    }

    def renewed(x):
        return new[id(x)] if isinstance(x, keras.KerasTensor) else x

    for i, group in enumerate(groups):
        later = {id(x) for other in groups[i + 1 :] for call in other for x in call.inputs}
        later |= {id(x) for x in keras.tree.flatten(outputs)}
        for x, y in _called(group, later, renewed, products):
            new[id(x)] = y
    ends = keras.tree.map_structure(renewed, (inputs, outputs))
    return keras.Model(*ends, name=folded.name)


def _is_linear(layer, args, kwargs):
    """Whether a layer is a BatchNormalization of images that does nothing but scale and shift."""
    if keras_class(layer) is not keras.layers.BatchNormalization:
        return False
    of_images = len(args) == 1 and len(args[0].shape) == 4 and layer.axis % 4 == 3
    return of_images and not kwargs.get("training") and kwargs.get("mask") is None


def _as_convolution(norm):
    """A BatchNormalization that is in no convolution, as one with a kernel of one weight."""
    scale, offset = scale_and_offset(norm)
    channels = len(offset)
    layer = keras.layers.DepthwiseConv2D(
        1, data_format="channels_last", dtype=norm.dtype_policy, name=norm.name
    )
    layer.build((None, None, None, channels))
    layer.set_weights([np.broadcast_to(scale, channels).reshape(1, 1, channels, 1), offset])
    return layer


def _called(group, later, renewed, products):
    """Call a group on new tensors.

    Args:
        group: list of `Call`.
        later: set of ids of the tensors that are needed after it.
        renewed: function (anything) -> the new tensor for an old one; anything else as it is.
        products: as of `InferenceNetwork`.

    Returns:
        Pairs of an old tensor and the new one.
    """
    if len(group) == 1:
        call = group[0]
        args, kwargs = keras.tree.map_structure(renewed, (call.args, call.kwargs))
        outputs = keras.tree.flatten(call.layer(*args, **kwargs))
        return zip(call.outputs, outputs, strict=True)
    made = {id(x): x for call in group for x in call.outputs}
    inputs = {id(x): x for call in group for x in call.inputs if id(x) not in made}
    outputs = [x for key, x in made.items() if key in later]
    network = keras.Model(_alone(list(inputs.values())), _alone(outputs))
    layer = InferenceNetwork(network, products)
    results = layer(_alone([renewed(x) for x in inputs.values()]))
    return zip(outputs, keras.tree.flatten(results), strict=True)


def _alone(tensors):
    """One tensor by itself, several as a list."""
    return tensors[0] if len(tensors) == 1 else tensors


def _groups(calls):
    """Calls as lists: those that one operation computes, and each of the others by itself."""
    groups, group, inside = [], [], set()
    for call in calls:
        own = {id(x) for x in call.inputs}
        of_images = all(len(x.shape) == 4 for x in call.inputs if id(x) not in inside)
        if serves(call) and of_images:
            group.append(call)
            inside |= {id(x) for x in call.outputs}
        else:
            if own & inside:
                groups += _worth_it(group)
                group, inside = [], set()
            groups.append([call])
    return groups + _worth_it(group)


def _worth_it(group):
    """Calls as one group where there is a convolution among others; else each by itself."""
    if any(keras_class(call.layer) in CONVOLUTIONS for call in group):
        return [group]
    return [[call] for call in group]
