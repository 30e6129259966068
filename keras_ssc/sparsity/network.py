"""Choosing (g, p) for every layer of a network, by its sparsity or its multiply-adds."""

import numpy as np

from keras_ssc.arguments import boolean, fraction, one_of
from keras_ssc.patterns import PARITIES
from keras_ssc.sparsity.distributions import (
    DISTRIBUTIONS,
    distribution_at,
    per_filter_candidates,
    uniform_candidates,
)
from keras_ssc.sparsity.gpu_network import gpu_settings
from keras_ssc.sparsity.layer import DEVICES, awkwardness
from keras_ssc.sparsity.mixing import well_mixing
from keras_ssc.sparsity.shapes import (
    LayerShape,
    NetworkChoice,
    UnreachableSparsity,
    count_network,
    pattern_weight_count,
)

# A network's sparsity may miss its target by 0.3 points.
NETWORK_TOLERANCE = 0.003
# What a change of setting inside a network costs, against `awkwardness` per layer.
CHANGE = 0.5
CHANGE_INSIDE_A_STAGE = 1.0
# Candidates that are weighed in pairs: those which, alone, come nearest to the target.
NEAREST = 500
# What missing the target by the whole of the weights kept would cost.
MISS = 5.0


def choose_network(
    layers: list[LayerShape],
    *,
    sparsity: float | None = None,
    mac_share: float | None = None,
    parity: str = "halves",
    distribution: str = "auto",
    mixing: bool = False,
    pattern_for: str = "cpu",
) -> NetworkChoice:
    """Return settings (g, p) for the sparse layers of a network that reach a target.

    One setting for all layers is tried first (in a narrow layer g is cut to M and p to the
    channels left); where the widths allow none within 0.3 points, the last layers get another
    one. Settings with g dividing every width, fast mixing and g near 8 come first. A 1x1 layer
    takes g = 0 and a p that divides its channels; it stays dense where that p is 1.

    Args:
        layers: list of `LayerShape`, in the order of the network, dense layers included.
        sparsity: float in (0, 1), the wanted network sparsity; or
        mac_share: float in (0, 1), the wanted share of the dense counterpart's multiply-adds.
        parity: as for `SSCPattern`.
        distribution: `"uniform"`: all sparse layers have about one density; `"per_filter"`: all
            filters have about equally many weights, whatever their layer's width (near to ERK);
            `"auto"`: per filter for a `sparsity` of 0.98 or more, if it can be reached so;
            otherwise uniform.
        mixing: bool. True: of the p that leave as many weights and the same max(g, p), each layer
            takes the one with which the layers of a stage join the most channels
            (`stage_mixing`, for the cyclic shift without an offset).
        pattern_for: `"cpu"`, or `"gpu"`: one g for all KxK layers with a p that divides g - 1, and
            one p for all 1x1 layers, as the kernels for NVIDIA GPUs want it. The share of weights
            kept may then miss the target by a quarter; `distribution` and `mixing` have no say.
            Where no such pattern comes near, the choice is that for a CPU.

    Returns:
        `NetworkChoice`, with the settings and the figures reached.

    Raises:
        ValueError: the target can't be reached; the message names the nearest reachable ones.

    Example:

    >>> from keras_ssc.sparsity import LayerShape
    >>> layers = [LayerShape(f"conv{i}", 64, 64, (3, 3)) for i in range(4)]
    >>> choice = choose_network(layers, sparsity=0.906)
    >>> choice.settings["conv0"], round(choice.sparsity, 4)
    ((8, 3), 0.9062)
    """
    if (sparsity is None) == (mac_share is None):
        raise ValueError(
            "Give either `sparsity` or `mac_share`. "
            f"Received: sparsity={sparsity}, mac_share={mac_share}"
        )
    if sparsity is not None:
        name, kept = "sparsity", 1 - fraction("sparsity", sparsity)
    else:
        name, kept = "mac_share", fraction("mac_share", mac_share)
    if not isinstance(layers, (list, tuple)) or not all(
        isinstance(layer, LayerShape) for layer in layers
    ):
        raise TypeError(f"`layers` must be a list of LayerShape. Received: layers={layers!r}")
    if not any(layer.sparse for layer in layers):
        raise ValueError(f"`layers` must hold a sparse layer. Received: {len(layers)} dense ones")
    parity = one_of("parity", parity, PARITIES)
    distribution = one_of("distribution", distribution, DISTRIBUTIONS)
    boolean("mixing", mixing)
    one_of("pattern_for", pattern_for, DEVICES)
    pixels = np.array([layer.pixels if name == "mac_share" else 1 for layer in layers], float)
    if pattern_for == "gpu" and (settings := gpu_settings(layers, kept, pixels, parity)):
        return count_network(layers, settings, parity)
    nearest = []
    sparse = [layer for layer in layers if layer.sparse]
    for candidates in _candidates(sparse, distribution, sparsity):
        first, last, split, share = _search(layers, candidates, pixels, kept, parity)
        settings = {}
        for position, layer in enumerate(layers):
            candidate = candidates[first if position < split else last]
            setting = candidate(layer) if layer.sparse else None
            settings[layer.name] = None if setting == (0, 1) else setting
        if abs(share - kept) <= NETWORK_TOLERANCE:
            if mixing:
                settings = well_mixing(layers, settings, parity)
            return count_network(layers, settings, parity)
        nearest.append(float(1 - share if name == "sparsity" else share))
    received = sparsity if name == "sparsity" else mac_share
    words = ", ".join(sorted({f"{value:.4f}" for value in nearest}))
    raise UnreachableSparsity(
        f"`{name}` can't be reached within {NETWORK_TOLERANCE} by these layers. Nearest "
        f"reachable: {words}. Received: {name}={received}",
        nearest,
    )


def _candidates(layers, distribution, sparsity):
    """Yield lists of functions layer -> (g, p); the next where one does not reach the target."""
    if distribution == "per_filter":
        yield per_filter_candidates(layers)
        return
    if distribution == "auto" and distribution_at(sparsity or 0) == "per_filter":
        yield per_filter_candidates(layers)
    yield uniform_candidates(layers, only_dividing=True)
    yield uniform_candidates(layers, only_dividing=False)


def _search(layers, candidates, pixels, kept, parity):
    """The best (candidate of the first layers, of the last, split, share of weights kept).

    Every pair of candidates is weighed at every split; what is within tolerance wins over what
    is not, then the lower cost, then the smaller miss.
    """
    live = np.zeros((len(layers), len(candidates)))
    cost = np.zeros_like(live)
    known = {}
    for line, layer in enumerate(layers):
        if not layer.sparse:
            live[line] = layer.dense_weight_count
            continue
        key = (layer.in_channels, layer.filters, layer.kernel_size)
        if key not in known:
            known[key] = np.array([candidate(layer) for candidate in candidates]).T
        g, p = known[key]
        shape = (layer.in_channels, layer.filters)
        live[line] = pattern_weight_count(*shape, layer.kernel_size, g, p, parity)
        if layer.kernel_size != (1, 1):
            cost[line] = awkwardness(*shape, g, p)
    total = sum(
        layer.dense_weight_count * pixel for layer, pixel in zip(layers, pixels, strict=True)
    )
    share = live * pixels[:, None] / total
    near = np.argsort(np.abs(np.log(share.sum(0) / kept)), kind="stable")[:NEAREST]
    live, cost, share = live[:, near], cost[:, near], share[:, near]
    sparse = np.array([layer.sparse for layer in layers])
    cost = cost / sparse.sum()
    best = None
    for split in _splits(layers):
        inside = 0 < split < len(layers) and layers[split - 1].stage == layers[split].stage
        change = CHANGE_INSIDE_A_STAGE if inside else CHANGE
        reached = share[:split].sum(0)[:, None] + share[split:].sum(0)[None]
        costs = cost[:split].sum(0)[:, None] + cost[split:].sum(0)[None]
        if split == 0:
            reached, costs, change = reached[:1], costs[:1], 0.0
        else:
            density = live[sparse].sum(0)
            costs = costs + np.abs(np.log2(density[:, None] / density[None]))
        miss = np.abs(reached - kept)
        costs = costs + change + MISS * miss / kept
        keys = np.where(miss <= NETWORK_TOLERANCE, costs, 1e3 + miss)
        index_a, index_b = np.unravel_index(np.argmin(keys), keys.shape)
        if best is None or keys[index_a, index_b] < best[0]:
            found = (near[index_a], near[index_b], split, reached[index_a, index_b])
            best = (keys[index_a, index_b], *found)
    return best[1:]


def _splits(layers):
    """0 (one setting for all), then the places between two sparse layers."""
    sparse = [position for position, layer in enumerate(layers) if layer.sparse]
    return [0, *sparse[1:]]
