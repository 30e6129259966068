"""SynFlow: keep the weights through which most flows, without any data."""

import keras
import numpy as np

from keras_ssc.arguments import integer
from keras_ssc.model_copy import copy_graph
from keras_ssc.model_graph import check_graph, graph_layers, is_input
from keras_ssc.pruning.budget import keep_largest, weights_to_keep
from keras_ssc.pruning.differentiate import function_of_weights, gradients
from keras_ssc.pruning.masks import prunable_layers

# What shifts or scales the images would make something else of the input of ones.
_PREPROCESSING = (keras.layers.Normalization, keras.layers.Rescaling)


def synflow(model, sparsity=None, *, keep=None, dense=(), rounds=100):
    """Return masks of the weights through which most flows from the input to the output.

        score = w * dR/dw,   R = sum of the logits for an image of ones

    in a copy of the model with the absolute values of all its weights, as for inference. In round
    k of n the fraction density^(k / n) stays, and the scores are taken anew. All layers are
    ranked together. The scores of every layer that all flow passes through have the same sum, so
    none of these runs empty. Parallel branches compete: a 1x1 shortcut beside two convolutions
    loses nearly all its weights, unless `dense` names it.

    R grows with each layer, in a ResNet32 past float32's range. So the copy computes in float64,
    which also holds a ResNet110; layers beside identity shortcuts can't be rescaled. On JAX
    Keras has no float64: deep residual networks are refused there, VGG19 fits.

    IP-SynFlow: `apply_masks(model, masks, interspace=True)`. At the start the basis is the
    standard basis, so the scores of the coefficients are those of the kernel.

    Args:
        model: a built functional or Sequential `keras.Model`; an activation at its end is taken
            off. It is not touched.
        sparsity: float in [0, 1), of the whole network, or
        keep: int, the live weights of the whole network.
        dense: names of layers that stay dense; they get no mask.
        rounds: int.

    Returns:
        dict, layer name -> bool array, for `apply_masks`.

    Raises:
        TypeError, ValueError: see `apply_masks` and `weights_to_keep`; the model ends in a softmax
            that is no layer; its inputs have no fixed shape; R is too large, or nothing flows.

    Example:

    >>> model = keras.Sequential([keras.Input((30,)), keras.layers.Dense(3, "softmax", name="a")])
    >>> masks = synflow(model, 0.9)
    >>> int(masks["a"].sum())
    9

    Reference: Tanaka et al., "Pruning neural networks without any data", arXiv 2006.05467;
    Interspace: Wimmer et al., arXiv 2203.07808.
    """
    rounds = integer("rounds", rounds, 1)
    keep, names = weights_to_keep(model, sparsity, keep, dense)
    scores_of = synflow_scores(model, names)
    layers = prunable_layers(model)
    masks = {name: np.ones(layers[name].kernel.shape, bool) for name in names}
    total = sum(mask.size for mask in masks.values())
    for k in range(1, rounds + 1):
        scores = scores_of(masks)
        # What is gone ranks below what lives without flow.
        scores = {name: np.where(masks[name], scores[name], -1.0) for name in names}
        masks = keep_largest(scores, round(total * (keep / total) ** (k / rounds)))
    return masks


def synflow_scores(model, names):
    """Return a function: masks -> {layer name: |w * dR/dw|}, 0 outside the masks.

    Args:
        model: as for `synflow`.
        names: list of layer names.
    """
    copy = _absolute_copy(model)
    variables = [prunable_layers(copy)[name].kernel for name in names]
    weights = [keras.ops.convert_to_numpy(variable) for variable in variables]
    ones = np.ones((1, *copy.inputs[0].shape[1:]), variables[0].dtype)

    def flow(model):
        return keras.ops.sum(model(ones, training=False))

    _check_flow(float(flow(copy)))
    # Masked weights enter as values, so this compiles once.
    slope = gradients(function_of_weights(copy, variables, flow))

    def scores(masks):
        live = [weight * masks[name] for name, weight in zip(names, weights, strict=True)]
        slopes = slope([keras.ops.convert_to_tensor(weight, weight.dtype) for weight in live])
        return {
            name: np.abs(weight * keras.ops.convert_to_numpy(part))
            for name, weight, part in zip(names, live, slopes, strict=True)
        }

    return scores


def _absolute_copy(model):
    """The model with absolute weights, in float64, without preprocessing and last activation."""
    check_graph(model)
    if len(model.inputs) != 1 or len(model.outputs) != 1 or None in model.inputs[0].shape[1:]:
        raise ValueError(
            "`model` must have one output, and one input of fixed shape. Received: inputs "
            f"{[tuple(part.shape) for part in model.inputs]}, {len(model.outputs)} outputs"
        )
    last = graph_layers(model)[-1]
    dtype = "float64" if keras.backend.backend() == "tensorflow" else "float32"

    def exchange(layer):
        if not isinstance(layer, keras.layers.Layer) or is_input(layer):
            return None
        config = layer.get_config() | {"dtype": dtype}
        if _is_dropped(layer, last):
            return keras.layers.Activation("linear", name=layer.name, dtype=dtype)
        if layer is last and "activation" in config:
            config["activation"] = "linear"
        return type(layer).from_config(config)

    copy, exchanged = copy_graph(model, exchange)
    for old, new in exchanged:
        if not _is_dropped(old, last):
            new.set_weights([np.abs(weight) for weight in old.get_weights()])
    # Takes a tensor also where `model` takes a list of one.
    return keras.Model(copy.inputs[0], copy.outputs[0])


def _is_dropped(layer, last):
    return isinstance(layer, _PREPROCESSING) or (
        layer is last and isinstance(layer, keras.layers.Softmax)
    )


def _check_flow(total):
    if not np.isfinite(total):
        raise ValueError(
            "`model` must let R stay in the range of float64, on JAX that of float32 (masks found "
            "on TensorFlow can be used there). Received: R is too large"
        )
    if total == 0:
        raise ValueError("`model` must let ones flow to its output. Received: R = 0")
    if abs(total - 1) < 1e-6:
        raise ValueError(
            "`model` must give logits, or end in a layer that makes probabilities of them. "
            "Received: probabilities (R = 1), by an operation that is no layer"
        )
