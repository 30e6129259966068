"""Choosing (g, p) of one layer for a wanted sparsity."""

import numpy as np

from keras_ssc.arguments import fraction, one_of
from keras_ssc.patterns import SSCPattern
from keras_ssc.sparsity.shapes import UnreachableSparsity, pattern_weight_count

# A layer's density may miss its target by this share of it (at 0.9: by one point).
LAYER_TOLERANCE = 0.1
# Values of g, and of p, that are tried for one layer.
MAX_STEPS = 2048
DEVICES = ("cpu", "gpu")
# The same share for a GPU, for which few patterns are fast: (8, 7) stands for a sparsity of 0.9.
GPU_TOLERANCE = 0.25


def awkwardness(in_channels, filters, g, p):
    """How much speaks against (g, p), apart from its sparsity; 0 is best. Arrays are welcome.

    Counted are: g not dividing M (some channels then never get a KxK kernel), filters < 2 g (some
    taps are then never learnt), 1x1 kernels that reach few of the g - 1 other channel classes (so
    that layers mix slowly), and the distance of g from 8, the width of a vector register.
    """
    g, p = np.asarray(g), np.asarray(p)
    free = in_channels - in_channels // np.maximum(g, 1)
    pointwise = np.where(p > 0, free // np.maximum(p, 1), 0)
    classes = np.minimum(pointwise, (g - 1) // np.maximum(np.gcd(p, g - 1), 1))
    slow_mixing = np.where(g > 1, 1 - classes / np.maximum(g - 1, 1), 0)
    return (
        4.0 * (in_channels % np.maximum(g, 1) != 0)
        + 1.0 * (filters < 2 * g)
        + 3.0 * slow_mixing
        + 0.25 * np.abs(np.log2(np.maximum(g, 1) / 8))
    )


def slower(g, p):
    """Whether q = max(g, p) is no power of two, which the native kernels compute slower.

    It decides between equals only: arrays of bool for arrays of (g, p).
    """
    q = np.maximum(g, p)
    return q & (q - 1) != 0


def choose_pattern(
    in_channels: int,
    filters: int,
    kernel_size: int | tuple[int, int] = 3,
    *,
    sparsity: float | None = None,
    mac_share: float | None = None,
    shift: str = "cyclic",
    parity: str = "halves",
    dense_taps: bool = False,
    set_offset: int = 0,
    pattern_for: str = "cpu",
) -> SSCPattern:
    """Return the pattern of one layer that comes near a wanted sparsity.

    Among the (g, p) whose density lies within a tenth of the wanted one, the choice falls on
    those with g dividing M, filters >= 2 g, every channel read, fast mixing of the channel classes
    and g near 8; then on the nearest; between equals on one with a power of two for max(g, p),
    which the native kernels compute faster. A 1x1 layer takes g = 0 and a p that divides M.

    Args:
        in_channels: int, M.
        filters: int, N.
        kernel_size: int or (rows, columns).
        sparsity: float in (0, 1), the fraction of the kernel's weights to remove.
        mac_share: float in (0, 1), the share of multiply-adds to keep, in place of `sparsity`;
            for one layer that is 1 - sparsity.
        shift, parity, dense_taps, set_offset: as for `SSCPattern`.
        pattern_for: `"cpu"`, or `"gpu"`: prefer a p that divides g - 1, so that the 1x1 kernels of
            a filter read few of the other channel classes, as the kernels for NVIDIA GPUs want it.
            The density may then miss the target by a quarter; where there is no such pattern, and
            for 1x1 layers, the choice is that for a CPU. With (8, 7) they read one class, so that
            layers mix slowly: in short runs that cost no accuracy (docs/evidence, gpu-patterns).

    Returns:
        An `SSCPattern`; its `.sparsity` says what was reached.

    Raises:
        ValueError: no (g, p) comes near enough; the message names the nearest.

    Example:

    >>> pattern = choose_pattern(64, 64, 3, sparsity=0.9)
    >>> pattern.g, pattern.p, round(pattern.sparsity, 4)
    (8, 3, 0.9062)
    >>> pattern = choose_pattern(64, 64, 3, sparsity=0.9, pattern_for="gpu")
    >>> pattern.g, pattern.p, round(pattern.sparsity, 4)
    (8, 7, 0.9236)
    """
    one_of("pattern_for", pattern_for, DEVICES)
    if (sparsity is None) == (mac_share is None):
        raise ValueError(
            "Give either `sparsity` or `mac_share`. "
            f"Received: sparsity={sparsity}, mac_share={mac_share}"
        )
    if sparsity is None:
        sparsity = 1 - fraction("mac_share", mac_share)
    density = 1 - fraction("sparsity", sparsity)
    rules = {
        "shift": shift, "parity": parity, "dense_taps": dense_taps, "set_offset": set_offset,
    }  # fmt: skip
    # A first pattern checks the arguments and normalises kernel_size.
    first = SSCPattern(in_channels, filters, kernel_size, g=0, p=1, **rules)
    g, p = _layer_candidates(in_channels, first.kernel_size)
    live = pattern_weight_count(in_channels, filters, first.kernel_size, g, p, parity, dense_taps)
    reached = live / first.dense_weight_count
    miss = np.abs(reached / density - 1)
    near, cost = np.array([], int), awkwardness(in_channels, filters, g, p) + miss
    if pattern_for == "gpu" and shift == "cyclic":
        near = np.flatnonzero((miss <= GPU_TOLERANCE) & _few_classes(in_channels, filters, g, p))
    if len(near):
        cost = cost_on_gpu(g, p) + miss
    else:
        near = np.flatnonzero(miss <= LAYER_TOLERANCE)
    if not len(near):
        raise _unreachable(in_channels, filters, first, sparsity, g, p, reached)
    best = None
    for index in near[np.lexsort((slower(g, p)[near], cost[near]))][:32]:
        pattern = SSCPattern(
            in_channels, filters, first.kernel_size, int(g[index]), int(p[index]), **rules
        )
        best = best or pattern
        if not pattern.unread_channels:
            return pattern
    return best


def _few_classes(in_channels, filters, g, p):
    """Whether the 1x1 kernels of a filter read (g - 1) / p of the other g - 1 channel classes."""
    divides = (p > 1) & (p < g) & ((g - 1) % np.maximum(p, 1) == 0)
    return divides & (in_channels % np.maximum(g, 1) == 0) & (filters % np.maximum(g, 1) == 0)


def cost_on_gpu(g, p):
    """What speaks against such (g, p): many classes to read, g far from 8, the width of a block."""
    classes = (g - 1) / np.maximum(p, 1)
    return 0.05 * (classes - 1) + 0.25 * np.abs(np.log2(np.maximum(g, 1) / 8))


def _layer_candidates(in_channels, kernel_size):
    """All (g, p) worth a look for one layer: two int arrays."""
    if kernel_size == (1, 1):
        p = np.arange(1, in_channels + 1)
        p = p[in_channels % p == 0]
        return np.zeros_like(p), p
    steps = np.arange(1, in_channels + 1)
    if in_channels > MAX_STEPS:  # all pairs would not fit in memory
        steps = np.unique(np.geomspace(1, in_channels, MAX_STEPS).astype(int))
    g, p = np.meshgrid(steps, steps - 1, indexing="ij")
    legal = p <= in_channels - in_channels // g
    return g[legal], p[legal]


def _unreachable(in_channels, filters, pattern, sparsity, g, p, reached):
    """The error for a layer sparsity that can't be reached."""
    density = 1 - sparsity
    found, nearest = [], []
    for side in (reached >= density, reached < density):
        if side.any():
            index = np.flatnonzero(side)[np.argmin(np.abs(reached[side] - density))]
            nearest.append(1 - reached[index])
            found.append(f"{nearest[-1]:.4f} (g={g[index]}, p={p[index]})")
    return UnreachableSparsity(
        f"`sparsity` can't be reached by a {pattern.kernel_size} kernel with {in_channels} input "
        f"channels and {filters} filters. Nearest reachable: {' and '.join(found)}. "
        f"Received: sparsity={sparsity}",
        nearest,
    )
