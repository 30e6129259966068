"""Pruning for any Keras model: which weights live, and the methods of the paper's rivals."""

from keras_ssc.pruning.masks import (
    apply_masks,
    live_weights,
    prunable_layers,
    read_masks,
    remove_masks,
    set_masks,
)

__all__ = [
    "apply_masks",
    "live_weights",
    "prunable_layers",
    "read_masks",
    "remove_masks",
    "set_masks",
]
