"""Which layers of a model can become sparse, and why the others cannot or should not."""

import keras

from keras_ssc.arguments import names
from keras_ssc.layer_copy import why_no_plain_kernel
from keras_ssc.layers import SSCConv2D
from keras_ssc.layers.channel_wise import keras_class
from keras_ssc.model_graph import graph_layers

CONVERTIBLE = (keras.layers.Conv2D, keras.layers.SeparableConv2D, keras.layers.Dense)


def layers_with_reasons(model, keep, dense):
    """Return (layer, why not) for every layer with a kernel; "" where it can be converted.

    Args:
        model: functional or Sequential model.
        keep: names, or function of a layer, of what stays dense; None: the first convolution and
            the classifier.
        dense: bool, whether point-wise Dense layers may be converted too.
    """
    every = graph_layers(model)
    layers = [layer for layer in every if _has_kernel(layer)]
    kept = _ends(every) if keep is None else _kept(layers, keep)
    return [(layer, kept.get(id(layer)) or _why_not(layer, dense)) for layer in layers]


def conv_shape(layer):
    """Return (M, N, kernel_size) of a Conv2D, or of what is read as a 1x1 one.

    That is a Dense layer, or the point-wise part of a SeparableConv2D.
    """
    if isinstance(layer, keras.layers.SeparableConv2D):
        return (*tuple(layer.pointwise_kernel.shape)[-2:], (1, 1))
    kernel_size = getattr(layer, "kernel_size", (1, 1))
    return (*tuple(layer.kernel.shape)[-2:], tuple(kernel_size))


def _has_kernel(layer):
    """True for convolutions of every kind, Dense layers, and layers that hide a convolution."""
    weights = getattr(layer, "weights", [])  # bare operations have none
    known = isinstance(layer, keras.layers.Dense) or "Conv" in type(layer).__name__
    return bool(weights) and (known or any(len(one.shape) > 3 for one in weights))


def _ends(layers):
    """{id: note} of the first convolution, and of a classifier: a last Dense or 1x1 layer."""
    kinds = (keras.layers.Conv2D, keras.layers.SeparableConv2D)
    first = next((one for one in layers if isinstance(one, kinds)), None)
    last = next((one for one in reversed(layers) if getattr(one, "weights", None)), None)
    ends = {id(first): "first convolution"}
    if isinstance(last, keras.layers.Dense) or getattr(last, "kernel_size", None) == (1, 1):
        ends[id(last)] = "classifier"
    return ends


def _kept(layers, keep):
    """{id: note} of the layers that `keep` names."""
    if callable(keep):
        return {id(layer): "kept" for layer in layers if keep(layer)}
    keep = names("keep", keep, "a list of layer names, or a function of a layer")
    unknown = sorted(set(keep) - {layer.name for layer in layers})
    if unknown:
        raise ValueError(
            "`keep` must name convolutions or Dense layers of the model. "
            f"Unknown: {unknown}. Received: keep={keep!r}"
        )
    return {id(layer): "kept" for layer in layers if layer.name in keep}


def _why_not(layer, dense):
    """Why a layer stays as it is; "" where it can be converted."""
    if isinstance(layer, SSCConv2D):
        return "sparse already"
    if keras_class(layer) not in CONVERTIBLE:
        return "not a Conv2D"
    if why := why_no_plain_kernel(layer):
        return why
    if type(layer) is keras.layers.SeparableConv2D:
        return ""
    if keras_class(layer) is keras.layers.Conv2D:
        return f"{layer.groups} groups" if layer.groups > 1 else ""
    if len(layer.get_build_config()["input_shape"]) != 4:
        return "Dense on vectors"
    return "" if dense else "point-wise Dense: dense=True converts it"
