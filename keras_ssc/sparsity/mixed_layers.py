"""Patterns for many convolutions of all shapes and widths that reach one sparsity together."""

from typing import NamedTuple

import numpy as np

from keras_ssc.arguments import one_of
from keras_ssc.patterns import SSCPattern
from keras_ssc.sparsity.gpu_network import gpu_settings
from keras_ssc.sparsity.layer import DEVICES, LAYER_TOLERANCE, awkwardness, slower
from keras_ssc.sparsity.network import NETWORK_TOLERANCE
from keras_ssc.sparsity.shapes import LayerShape, UnreachableSparsity, pattern_weight_count

HALVINGS = 40  # of the interval in which the common density lies


def choose_together(
    shapes: list[tuple[int, int, tuple[int, int]]],
    sparsity: float,
    *,
    shift: str = "cyclic",
    parity: str = "halves",
    pattern_for: str = "cpu",
) -> tuple[list[SSCPattern], list[bool]]:
    """Return a pattern for every layer, which together reach `sparsity` as nearly as they can.

    All layers aim at one density. Where the widths allow none that lands (a 1x1 layer halves its
    weights from one p to the next), some of the last layers take the next sparser pattern. Only
    patterns that read every input channel are taken: g divides M, a 1x1 layer's p divides M, and
    max(g, p) <= N, so that every shift occurs.

    The 1x1 layers get `set_offset` 1, 2, 4, ... in turn (cyclic shift): with equal p they would
    otherwise form streams that never meet.

    Args:
        shapes: list of (M, N, (rows, columns)).
        sparsity: float in (0, 1), over all layers together.
        shift, parity: as for `SSCPattern`.
        pattern_for: `"cpu"`, or `"gpu"`: as for `choose_network`, with its tolerance.

    Returns:
        (patterns, too_narrow): a list of `SSCPattern`, and a list of bools: True where even the
        sparsest pattern keeps more than was asked.

    Raises:
        ValueError: the layers together can't be so sparse, or so dense.

    Example:

    >>> patterns, too_narrow = choose_together([(64, 64, (3, 3)), (8, 64, (1, 1))], 0.9)
    >>> [(one.g, one.p) for one in patterns], too_narrow
    ([(8, 3), (0, 8)], [False, True])
    """
    one_of("pattern_for", pattern_for, DEVICES)
    if not shapes:
        return [], []
    if pattern_for == "gpu":
        layers = [LayerShape(str(index), *shape) for index, shape in enumerate(shapes)]
        if settings := gpu_settings(layers, 1 - sparsity, np.ones(len(shapes)), parity):
            return _patterns(shapes, settings.values(), shift, parity), [False] * len(shapes)
    target = (1 - sparsity) * sum(_dense(shape) for shape in shapes)
    candidates = {shape: _candidates(*shape, parity) for shape in set(shapes)}
    _check_reach(shapes, sparsity, candidates)
    settings = [(g, p) for g, p, _ in _land(shapes, candidates, target)]
    limit = (1 + LAYER_TOLERANCE) * (1 - sparsity)
    too_narrow = [bool(candidates[shape].live.min() > limit * _dense(shape)) for shape in shapes]
    return _patterns(shapes, settings, shift, parity), too_narrow


def _patterns(shapes, settings, shift, parity):
    """The patterns of all layers, 1x1 ones with offsets."""
    patterns, pointwise = [], 0
    for (in_channels, filters, kernel_size), (g, p) in zip(shapes, settings, strict=True):
        offset = 0
        if g == 0 and shift == "cyclic":
            offset = 2 ** (pointwise % max(1, (p - 1).bit_length())) if p > 1 else 0
            pointwise += 1
        patterns.append(
            SSCPattern(in_channels, filters, kernel_size, g, p, shift, parity, set_offset=offset)
        )
    return patterns


def _dense(shape):
    in_channels, filters, (rows, columns) = shape
    return rows * columns * in_channels * filters


def _live(settings):
    return sum(live for _, _, live in settings)


class _Candidates(NamedTuple):
    """The patterns of one layer that read all channels: four arrays."""

    g: np.ndarray
    p: np.ndarray
    live: np.ndarray
    awkwardness: np.ndarray


def _candidates(in_channels, filters, kernel_size, parity):
    divisors = [d for d in range(1, in_channels + 1) if in_channels % d == 0 and d <= filters]
    if kernel_size == (1, 1):
        g, p = np.array([(0, p) for p in divisors]).T
        cost = np.zeros(len(p))
    else:
        g, p = np.array([
            (g, p)
            for g in divisors
            for p in range(min(in_channels - in_channels // g, filters) + 1)
        ]).T  # fmt: skip
        cost = awkwardness(in_channels, filters, g, p)
    return _Candidates(
        g, p, pattern_weight_count(in_channels, filters, kernel_size, g, p, parity), cost
    )


def _setting(candidates, weights):
    """The (g, p, live weights) of one layer: the least awkward near `weights`, or the nearest."""
    g, p, live, cost = candidates
    miss = np.abs(live / weights - 1)
    near = miss <= LAYER_TOLERANCE
    keys = np.where(near, cost + miss, np.inf) if near.any() else np.abs(np.log(live / weights))
    index = np.lexsort((slower(g, p), keys))[0]
    return int(g[index]), int(p[index]), int(live[index])


def _land(shapes, candidates, target):
    """Settings of all layers with `target` live weights together, or nearly so."""

    def settings(density):
        return [_setting(candidates[one], density * _dense(one)) for one in shapes]

    sparser, denser = 1e-9, 1.0
    for _ in range(HALVINGS):
        middle = np.sqrt(sparser * denser)
        if _live(settings(middle)) > target:
            denser = middle
        else:
            sparser = middle
    return _between(settings(sparser), settings(denser), target)


def _between(sparser, denser, target):
    """The denser settings, but the sparser ones in layers that bring the sum to the target.

    From the last layer on, first without going below the target, then wherever it comes nearer.
    """
    chosen, excess = list(denser), _live(denser) - target
    for limit in (1, 2):
        for index in reversed(range(len(chosen))):
            gain = chosen[index][-1] - sparser[index][-1]
            if 0 < gain <= limit * excess:
                chosen[index] = sparser[index]
                excess -= gain
    return chosen


def _check_reach(shapes, sparsity, candidates):
    dense = sum(_dense(shape) for shape in shapes)
    least = 1 - sum(candidates[shape].live.max() for shape in shapes) / dense
    most = 1 - sum(candidates[shape].live.min() for shape in shapes) / dense
    if not least - NETWORK_TOLERANCE <= sparsity <= most + NETWORK_TOLERANCE:
        raise UnreachableSparsity(
            f"`sparsity` can't be reached by these {len(shapes)} convolutions, whose patterns give "
            f"{least:.4f} to {most:.4f} together. Received: sparsity={sparsity}",
            [least if sparsity < least else most],
        )
