"""Two ways to share a budget of weights over the layers of a network, and which one when."""

import bisect
import functools
import math

import numpy as np

DISTRIBUTIONS = ("auto", "uniform", "per_filter")
# From this sparsity on "auto" is "per_filter": the better one at 98 % on images held out, for
# ResNet20 and VGG11; at 95 and 90 % "uniform" was, or they tied (docs/evidence). Between 95 and
# 98 % nothing was tried.
PER_FILTER_FROM = 0.98
# Live taps of a 3x3 kernel, odd and even filters together.
MEAN_TAPS = 4.5


def distribution_at(sparsity: float) -> str:
    """Return the distribution that `"auto"` means at a sparsity.

    Example:

    >>> distribution_at(0.98), distribution_at(0.95)
    ('per_filter', 'uniform')
    """
    return "per_filter" if sparsity >= PER_FILTER_FROM else "uniform"


def uniform_candidates(layers, only_dividing):
    """Return functions layer -> (g, p): the same (g, p) for all KxK layers.

    In a narrow layer g is cut to M, and p to the channels left. 1x1 layers take g = 0 and a p that
    gives them about the density of the KxK ones.

    Args:
        layers: list of `LayerShape`, the sparse ones.
        only_dividing: bool, whether g must divide every width.
    """
    kxk = {layer.in_channels for layer in layers if layer.kernel_size != (1, 1)}
    one = {layer.in_channels for layer in layers if layer.kernel_size == (1, 1)}
    if not kxk:
        return [_Uniform(0, 0, step) for step in np.geomspace(1, max(one), 48)]
    found = []
    groups = [
        g for g in range(1, max(kxk) + 1)
        if not only_dividing or all(width % min(g, width) == 0 for width in kxk)
    ][:128]  # fmt: skip
    for g in groups:
        for p in range(65 if g > 1 else 1):
            step = 1 / (0.5 / g + ((1 - 1 / g) / (9 * p) if p else 0))
            # The power of 2 below and the one above.
            steps = (step / 2**0.5, step * 2**0.5) if one else (step,)
            found += [_Uniform(g, p, step) for step in steps]
    return found


def per_filter_candidates(layers):
    """Return functions layer -> (g, p): for each filter `a` KxK and about `b` 1x1 kernels.

    So each filter of every KxK layer has about 4.5 a + b weights, and each of a 1x1 layer as many,
    as far as the layer is wide enough.

    Args:
        layers: list of `LayerShape`, the sparse ones.
    """
    widest = max(layer.in_channels for layer in layers)
    kernels = [2**power for power in range(int(np.log2(widest)) + 1)]
    return [
        _PerFilter(a, b) for a in kernels for b in range(0, min(widest, 8 * a + 64), max(1, a // 8))
    ]


class _Uniform:
    def __init__(self, g, p, step):
        self.g, self.p, self.step = g, p, step

    def __call__(self, layer):
        if layer.kernel_size == (1, 1):
            return (0, nearest_step(layer, self.step))
        g = min(self.g, layer.in_channels)
        return (g, min(self.p, layer.in_channels - layer.in_channels // g))


class _PerFilter:
    def __init__(self, a, b):
        self.a, self.b = a, b

    def __call__(self, layer):
        channels = layer.in_channels
        if layer.kernel_size == (1, 1):
            return (0, nearest_step(layer, channels / (MEAN_TAPS * self.a + self.b)))
        g = max(1, channels // self.a)
        while channels % g:
            g -= 1
        free = channels - channels // g
        return (g, max(1, free // self.b) if self.b and free else 0)


def nearest_step(layer, step):
    """Return the p of a 1x1 layer nearest to `step` that leaves no channel unread.

    Such a p divides M, and is at most N.

    Example:

    >>> from keras_ssc.sparsity import LayerShape
    >>> nearest_step(LayerShape("classifier", 96, 10, (1, 1)), 20)
    8
    """
    steps = _steps(layer.in_channels, layer.filters)
    above = bisect.bisect_left(steps, step)
    return min(steps[max(0, above - 1) : above + 1], key=lambda p: abs(math.log(p / step)))


@functools.cache
def _steps(in_channels, filters):
    most = min(in_channels, filters)
    return [p for p in range(1, most + 1) if in_channels % p == 0]
