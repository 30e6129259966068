"""The dense network with masks that computes what a network of a setting computes."""

import jax
import keras
import numpy as np

from keras_ssc import pruning
from keras_ssc.layers import SSCConv2D
from keras_ssc.model_graph import flat_layers
from paper.networks import build

# Outputs of both, in float32, may differ by that.
ROUNDING = 1e-4


def as_masks(model, setting, classes):
    """Return the dense network of a setting with a model's weights, under its masks.

    Args:
        model: `keras.Model` of the setting's method: dense, with masks, or of SSC.
        setting: `Setting`.
        classes: int.
    """
    dense = build(setting, classes, sparsity=0)
    masks = {
        name: np.ones(layer.kernel.shape, bool)
        for name, layer in pruning.prunable_layers(dense).items()
    }
    own = {layer.name: layer for layer in flat_layers(model)}
    if missing := set(masks) - set(own):
        raise ValueError(f"`setting` must keep the dense network's layers. Missing: {missing}")
    for name in masks:
        if isinstance(own[name], SSCConv2D):
            masks[name] = own[name].pattern.mask()
        elif hasattr(own[name], "kernel_mask"):
            masks[name] = keras.ops.convert_to_numpy(own[name].kernel_mask)
    masked = pruning.apply_masks(dense, masks)
    for layer in flat_layers(masked):
        for weight in layer.weights:
            if weight.name == "kernel":
                weight.assign(np.array(own[layer.name].kernel))
            elif weight.name != "kernel_mask":
                weight.assign(np.array(_named(own[layer.name], weight.name)))
    pruning.set_masks(masked, masks)
    return masked


def unmask(masked, model):
    """Give a model the weights of its counterpart of `as_masks`."""
    own = {layer.name: layer for layer in flat_layers(masked)}
    for layer in flat_layers(model):
        matrices = {}
        if isinstance(layer, SSCConv2D):
            kernel = np.array(own[layer.name].kernel).ravel()
            matrices = {
                name: kernel[layer.pattern.flat_indices(positions, filters)]
                for name, positions, filters in layer.pattern.matrices
            }
        for weight in layer.weights:
            if weight.name in matrices:
                weight.assign(matrices[weight.name])
            else:
                weight.assign(np.array(_named(own[layer.name], weight.name)))


def _named(layer, name):
    return next(weight for weight in layer.weights if weight.name == name)


def check_equal(masked, model, images):
    """Refuse a model whose outputs are not those of its counterpart with masks."""
    with jax.default_matmul_precision("highest"):
        one, other = (np.array(which(images, training=False)) for which in (masked, model))
    if not np.allclose(one, other, rtol=0, atol=ROUNDING):
        raise FloatingPointError(
            f"{model.name} computes other outputs than its counterpart with masks: they differ by "
            f"up to {np.abs(one - other).max():.2g}"
        )
