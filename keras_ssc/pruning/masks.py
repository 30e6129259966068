"""Masks of live weights: put on a model, read, counted, changed, taken off.

Masks are a dict, layer name -> bool array shaped like the layer's kernel.
"""

import keras
import numpy as np

from keras_ssc._summary import summary
from keras_ssc.arguments import boolean, dictionary
from keras_ssc.layer_copy import why_no_plain_kernel
from keras_ssc.layers import InterspaceConv2D, MaskedConv2D, MaskedDense, MaskedDepthwiseConv2D
from keras_ssc.layers.channel_wise import keras_class
from keras_ssc.layers.keras_bias import check_bias
from keras_ssc.model_copy import copy_graph
from keras_ssc.model_graph import check_graph, held_by_model, walk
from keras_ssc.pruning.optimizer_slots import clear_slots

_MASKED = {
    keras.layers.Conv2D: MaskedConv2D,
    keras.layers.DepthwiseConv2D: MaskedDepthwiseConv2D,
    keras.layers.Dense: MaskedDense,
}
_PLAIN = {masked: plain for plain, masked in _MASKED.items()}
MASKED = (*_PLAIN, InterspaceConv2D)


def prunable_layers(model):
    """Return {name: layer} of the layers whose kernels can be pruned, in the model's order.

    These are Conv2D, DepthwiseConv2D and Dense, masked or not; models inside it are looked into.

    Raises:
        TypeError: `model` is no Keras model.
        ValueError: it is not built, holds no such layer, or two of one name.

    Example:

    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="one")])
    >>> list(prunable_layers(model))
    ['one']

    Reference: GraSP prunes every convolution and linear layer (paper, section 4).
    """
    if not isinstance(model, keras.Model):
        raise TypeError(f"`model` must be a keras.Model. Received: {model!r}")
    if not model.built:
        raise ValueError(f"`model` must be built. Received: {model.name!r}, without weights")
    found = {}
    for layer in walk(model, held_by_model):
        if keras_class(layer) in _MASKED or type(layer) in MASKED:
            if layer.name in found:
                raise ValueError(f"`model` must not have two layers named {layer.name!r}")
            found[layer.name] = layer
    if not found:
        raise ValueError(
            "`model` must have Conv2D, DepthwiseConv2D or Dense layers to prune. "
            f"Received: {model.name!r}"
        )
    return found


def check_kernels(layers):
    """Refuse layers whose kernel is no single weight: masks could not be put on it.

    Args:
        layers: dict, name -> layer.

    Raises:
        ValueError: LoRA is enabled in one of them, or it is quantized.
    """
    for name, layer in layers.items():
        if why := why_no_plain_kernel(layer):
            advice = "`keras_ssc.fold` merges it" if why == "LoRA" else "prune before you quantize"
            raise ValueError(
                f"`model` must not have {why} in a layer that is pruned: {advice}. "
                f"Received: layer {name!r} ({type(layer).__name__})"
            )


def kernels(model):
    """Return {layer name: kernel as a NumPy array}; pruned entries are 0.

    Example:

    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="one")])
    >>> kernels(model)["one"].shape
    (4, 2)
    """
    found = {}
    for name, layer in prunable_layers(model).items():
        found[name] = keras.ops.convert_to_numpy(layer.kernel).copy()
        if isinstance(layer, MASKED):
            found[name][~_mask(layer)] = 0
    return found


def _mask(layer):
    return keras.ops.convert_to_numpy(layer.kernel_mask)


def apply_masks(model, masks=None, interspace=False):
    """Return a copy of a model in which only the weights under the masks live.

    Pruned weights are zero in the copy and stay so in training, under all of Keras's optimizers,
    regularizers and constraints, and the masks are saved with it. Layers without a mask are copied
    as they are. Two optimizers need an argument, and are refused without it in the first step:
    `Adafactor(epsilon_1=1e-15)` and, for masked Dense layers, `Muon(exclude_layers=[...])`.

    Args:
        model: a built functional or Sequential `keras.Model`; it is not touched.
        masks: dict, layer name -> bool array shaped like the layer's kernel. None: of all prunable
            layers, all True, for a method that prunes while the model trains.
        interspace: bool. True: KxK convolutions become `InterspaceConv2D`, whose masks are on the
            coefficients.

    Returns:
        `keras.Model`, compiled like `model` if that is.

    Raises:
        TypeError: `model` is no Keras model, or a mask is not bool.
        ValueError: the model is subclassed or not built, a name is unknown, a shape does not fit;
            LoRA is enabled in a masked layer, or it is quantized.

    Example:

    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="one")])
    >>> sparse = apply_masks(model, {"one": np.eye(4, 2, dtype=bool)})
    >>> live_weights(sparse)
    2
    """
    check_graph(model)
    boolean("interspace", interspace)
    layers = prunable_layers(model)
    if masks is None:
        masks = {name: np.ones(layer.kernel.shape, bool) for name, layer in layers.items()}
    _check(layers, masks)
    check_kernels({name: layers[name] for name in masks})

    def exchange(layer):
        if layers.get(layer.name) is not layer or layer.name not in masks:
            return None
        kind = _MASKED.get(keras_class(layer), type(layer))
        if interspace and issubclass(kind, MaskedConv2D) and max(layer.kernel_size) > 1:
            kind = InterspaceConv2D
        return kind.from_config(layer.get_config())

    copy, exchanged = copy_graph(model, exchange)
    for old, new in exchanged:
        for weight in old.weights:
            # A copy: JAX gives the buffers of a model that trains to its next step.
            _named(new, weight.name).assign(np.array(weight))
    set_masks(copy, masks)
    return copy


def _named(layer, name):
    return next(weight for weight in layer.weights if weight.name == name)


def _check(layers, masks):
    unknown = set(dictionary("masks", masks)) - set(layers)
    if unknown:
        raise ValueError(
            f"`masks` must name prunable layers. Unknown: {sorted(unknown)}. "
            f"Prunable are: {list(layers)}"
        )
    for name, mask in masks.items():
        if np.asarray(mask).dtype != bool:
            raise TypeError(f"`masks[{name!r}]` must be bool. Received: {np.asarray(mask).dtype}")
        shape = tuple(layers[name].kernel.shape)
        if np.shape(mask) != shape:
            raise ValueError(
                f"`masks[{name!r}]` must be shaped {shape}. Received: {np.shape(mask)}"
            )


def masked_layers(model):
    """Return {name: layer} of the layers that have a mask.

    Example:

    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="one")])
    >>> masked_layers(model)
    {}
    """
    return {n: layer for n, layer in prunable_layers(model).items() if isinstance(layer, MASKED)}


def set_masks(model, masks):
    """Change masks of a masked model in place; what they remove becomes zero in the kernel too.

    What the model's optimizer remembers (momentum, moments, averages) starts anew for all weights
    but those that live before and after, so that none of the removed ones is moved by it.

    Args:
        model: a model of `apply_masks`.
        masks: dict, layer name -> bool array; layers that are not named keep theirs.

    Raises:
        ValueError: a name is no masked layer, or a shape does not fit.

    Example:

    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="one")])
    >>> sparse = apply_masks(model, {"one": np.eye(4, 2, dtype=bool)})
    >>> set_masks(sparse, {"one": np.ones((4, 2), bool)})
    >>> live_weights(sparse)
    8
    """
    layers = masked_layers(model)
    _check(layers, masks)
    stays = {}
    for name, mask in masks.items():
        layer = layers[name]
        kernel, old = keras.ops.convert_to_numpy(layer.kernel), _mask(layer)
        layer.kernel.assign(np.where(mask, kernel, np.zeros_like(kernel)))
        layer.kernel_mask.assign(np.asarray(mask))
        stays[layer.kernel.path] = old & mask
    if model.compiled:
        clear_slots(model, {path: ~live for path, live in stays.items()})


def read_masks(model):
    """Return the masks of a model: a dict, layer name -> bool array; empty where it has none.

    Example:

    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="one")])
    >>> read_masks(apply_masks(model, {"one": np.eye(4, 2, dtype=bool)}))["one"].sum()
    np.int64(2)
    """
    return {name: _mask(layer).copy() for name, layer in masked_layers(model).items()}


def live_weights(model):
    """Return how many weights of the kernels of a `model` live.

    These are the `live_weights` of `keras_ssc.summary`: of all convolutions and Dense layers, also
    those inside models, wrappers and layers of your own. An SSCConv2D counts the weights that it
    has, a masked layer those that its mask lets live.

    Raises:
        TypeError, ValueError: `model` is no Keras model, or not built.

    Example:

    >>> live_weights(keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]))
    8
    """
    return summary(model).live_weights


def remove_masks(model):
    """Return a copy of a masked model in Keras's own layers, with zeros for the pruned weights.

    The outputs are equal, to rounding. Training it brings pruned weights back.

    Raises:
        ValueError: the model has no masked layer; Keras would add the bias of a channels_first
            layer along its columns.

    Example:

    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="one")])
    >>> plain = remove_masks(apply_masks(model, {"one": np.eye(4, 2, dtype=bool)}))
    >>> type(plain.layers[0]).__name__, int((plain.layers[0].kernel.numpy() != 0).sum())
    ('Dense', 2)
    """
    check_graph(model)

    def exchange(layer):
        if not isinstance(layer, MASKED):
            return None
        kind = next(plain for masked, plain in _PLAIN.items() if isinstance(layer, masked))
        return kind.from_config(layer.get_config())

    copy, exchanged = copy_graph(model, exchange)
    if not exchanged:
        raise ValueError(f"`model` must have masks. Received: {model.name!r}, without any")
    for old, new in exchanged:
        check_bias(old)
        new.kernel.assign(np.array(old.live_kernel()))
        if new.use_bias:
            new.bias.assign(np.array(old.bias))
    return copy
