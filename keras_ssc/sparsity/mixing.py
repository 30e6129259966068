"""How far sparse layers mix the channels: which channels in front reach which ones behind."""

import functools
import itertools

import numpy as np

from keras_ssc.patterns import SSCPattern
from keras_ssc.sparsity.shapes import LayerShape


@functools.lru_cache(maxsize=64)
def connections(pattern: SSCPattern) -> np.ndarray:
    """Return which input channels each filter reads: bool array (M, N), read-only.

    Args:
        pattern: `SSCPattern`.

    Example:

    >>> connections(SSCPattern(4, 4, 3, g=4, p=3)).sum(axis=0).tolist()
    [2, 2, 2, 2]
    """
    live = np.zeros((pattern.in_channels, pattern.filters), bool)
    for _, positions, filters in pattern.matrices:
        live[pattern.channels(positions, filters), filters] = True
    live.flags.writeable = False
    return live


def connected_share(patterns: list[SSCPattern]) -> float:
    """Return the share of the pairs (channel in front, filter of the last layer) that are joined.

        A = A_1 A_2 ... A_L > 0,   share = mean of A,   A_l = `connections` of layer l

    Args:
        patterns: list of `SSCPattern`, in the order of the data; each has as many channels as the
            one before has filters.

    Raises:
        ValueError: there is none, or the widths do not follow on each other.

    Example:

    >>> slow, fast = SSCPattern(64, 64, 3, g=32, p=31), SSCPattern(64, 64, 3, g=32, p=29)
    >>> slow.weight_count == fast.weight_count
    True
    >>> connected_share([slow] * 8), connected_share([fast] * 8)
    (0.28125, 0.966796875)
    """
    widths = [(one.in_channels, one.filters) for one in patterns]
    pairs = itertools.pairwise(widths)
    if not widths or any(before[1] != behind[0] for before, behind in pairs):
        raise ValueError(
            "`patterns` must be of layers one behind the other. Received: (channels, filters) = "
            f"{widths}"
        )
    reached = connections(patterns[0])
    for pattern in patterns[1:]:
        reached = reached.astype("float32") @ connections(pattern).astype("float32") > 0
    return float(reached.mean())


def stage_mixing(
    layers: list[LayerShape],
    settings: dict[str, tuple[int, int] | None],
    *,
    set_offset: int | str = 0,
    **rules,
) -> dict[int, float]:
    """Return the `connected_share` of each stage, through its sparse layers alone.

    Of a stage the longest run of sparse layers counts whose widths follow on each other; behind a
    dense layer, which joins all channels, a new one begins. What the sums of residual blocks add is
    left out: the share is what the sparse layers do.

    Args:
        layers: list of `LayerShape`, in the order of the network.
        settings: dict, layer name -> (g, p), or None where it stays dense.
        set_offset: int, or `"butterfly"`: 1, 2, 4, ... from one sparse layer to the next.
        **rules: shift, parity, dense_taps of `SSCPattern`.

    Returns:
        dict, stage -> share; stages without a sparse layer are left out.

    Example:

    >>> layers = [LayerShape(f"conv{i}", 64, 64, (3, 3)) for i in range(8)]
    >>> settings = {layer.name: (32, 31) for layer in layers}
    >>> stage_mixing(layers, settings)
    {0: 0.28125}
    >>> stage_mixing(layers, settings, set_offset="butterfly")
    {0: 1.0}
    """
    runs, place = {}, 0
    for layer in layers:
        setting = settings.get(layer.name)
        found = runs.setdefault(layer.stage, [[]])
        if setting is None:
            if layer.groups == 1:
                found.append([])
            continue
        offset = set_offset
        if set_offset == "butterfly":
            offset = butterfly_offset(place, max(setting))
        place += 1
        shape = (layer.in_channels, layer.filters, layer.kernel_size)
        pattern = SSCPattern(*shape, *setting, set_offset=offset, **rules)
        if found[-1] and found[-1][-1].filters != layer.in_channels:
            found.append([])
        found[-1].append(pattern)
    longest = {stage: max(found, key=len) for stage, found in runs.items()}
    return {stage: connected_share(run) for stage, run in longest.items() if run}


def butterfly_offset(place: int, q: int) -> int:
    """Return 1, 2, 4, ..., the largest power of 2 below q, and again 1, from layer to layer.

    Args:
        place: int, how many sparse layers come before.
        q: int, max(g, p) of the layer.

    Example:

    >>> [butterfly_offset(place, 8) for place in range(4)]
    [1, 2, 4, 1]
    """
    return 2 ** (place % max(1, int(np.log2(q))))


def well_mixing(
    layers: list[LayerShape], settings: dict[str, tuple[int, int] | None], parity: str = "halves"
) -> dict[str, tuple[int, int] | None]:
    """Return the settings with each p in place of which another one mixes the channels better.

    Only such p are tried with which a layer keeps as many weights and, max(g, p) being the same,
    computes in the same way. The best mean of `stage_mixing` wins; between equals the nearest p.

    Args:
        layers: list of `LayerShape`, in the order of the network.
        settings: dict, layer name -> (g, p), or None where it stays dense.
        parity: as for `SSCPattern`.

    Example:

    >>> layers = [LayerShape(f"conv{i}", 64, 64, (3, 3)) for i in range(8)]
    >>> well_mixing(layers, {layer.name: (32, 31) for layer in layers})["conv0"]
    (32, 29)
    """
    chosen = dict(settings)
    alike = {}
    for layer in layers:
        if chosen.get(layer.name) and layer.kernel_size != (1, 1):
            alike.setdefault((layer.in_channels, *chosen[layer.name]), []).append(layer.name)
    for (channels, g, p), names in alike.items():
        best = (_mean(layers, chosen, parity), 0)
        for other in _equal_steps(channels, g, p):
            trial = chosen | dict.fromkeys(names, (g, other))
            found = (_mean(layers, trial, parity), -abs(other - p))
            if found > best:
                best, chosen = found, trial
    return chosen


def _mean(layers, settings, parity):
    return float(np.mean(list(stage_mixing(layers, settings, parity=parity).values())))


def _equal_steps(channels, g, p):
    """The other p with as many 1x1 kernels, and with the same max(g, p)."""
    if not 0 < p <= g:
        return []
    free = channels - channels // g
    return [other for other in range(1, g + 1) if other != p and free // other == free // p]
