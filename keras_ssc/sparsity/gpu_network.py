"""Settings (g, p) of a network as the kernels for NVIDIA GPUs want them."""

import itertools

import numpy as np

from keras_ssc.sparsity.layer import GPU_TOLERANCE, cost_on_gpu
from keras_ssc.sparsity.shapes import pattern_weight_count

GROUPS = (4, 8, 16, 32)
# Of the 1x1 layers: parts of g, so that they read channels in the order of the layers around them.
POINTWISE = (2, 4, 8, 16, 32)


def gpu_settings(layers, kept, pixels, parity="halves"):
    """Return {name: (g, p) or None} that come nearest to a target, or None where none come near.

    All KxK layers take one g, and a p that divides g - 1; all 1x1 layers one p.

    Args:
        layers: list of `LayerShape`.
        kept: float, the share of the weights (of the multiply-adds) to keep.
        pixels: float array (layers,), by which each layer's weights are multiplied.
        parity: as for `SSCPattern`.
    """
    dense = np.array([layer.dense_weight_count for layer in layers]) @ pixels
    best, least = None, np.inf
    for g, pointwise in itertools.product(GROUPS, POINTWISE):
        for p in [p for p in range(2, g) if (g - 1) % p == 0]:
            settings = _settings(layers, g, p, pointwise)
            if settings is None:
                continue
            share = _live(layers, settings, parity) @ pixels / dense
            miss = abs(share / kept - 1)
            cost = miss + cost_on_gpu(g, p)
            if miss <= GPU_TOLERANCE and cost < least:
                best, least = settings, cost
    return best


def _settings(layers, g, p, pointwise):
    """{name: setting}, or None where it does not divide a layer's channels and filters."""
    settings = {}
    for layer in layers:
        own = (0, pointwise) if layer.kernel_size == (1, 1) else (g, p)
        if layer.sparse and (layer.in_channels % max(own) or layer.filters % max(own)):
            return None
        settings[layer.name] = own if layer.sparse else None
    return settings


def _live(layers, settings, parity):
    counts = []
    for layer in layers:
        setting = settings[layer.name]
        shape = (layer.in_channels, layer.filters, layer.kernel_size)
        counts.append(
            int(pattern_weight_count(*shape, *setting, parity))
            if setting
            else layer.dense_weight_count
        )
    return np.array(counts)
