"""Choosing (g, p) for every layer of a network, by its sparsity or its multiply-adds."""

import numpy as np

from keras_ssc.sparsity import (
    NETWORK_TOLERANCE,
    awkwardness,
    count_network,
    fraction,
    live_weights,
)

# What a change of setting inside a network costs, against `awkwardness` per layer.
CHANGE = 0.5
CHANGE_INSIDE_A_STAGE = 1.0
# What missing the target by the whole of the weights kept would cost.
MISS = 5.0


def choose_network(layers, *, sparsity=None, mac_share=None, parity="halves"):
    """Return settings (g, p) for the sparse layers of a network that reach a target.

    One setting for all layers is tried first (in a narrow layer g is cut to M and p to the
    channels left); where the widths allow none within 0.3 points, the last layers get another
    one. Settings with g dividing every width, fast mixing and g near 8 come first.

    Args:
        layers: list of `LayerShape`, in the order of the network, dense layers included.
        sparsity: float in (0, 1), the wanted network sparsity; or
        mac_share: float in (0, 1), the wanted share of the dense twin's multiply-adds.
        parity: as for `SSCPattern`.

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
    if not any(layer.sparse for layer in layers):
        raise ValueError(f"`layers` must hold a sparse layer. Received: {len(layers)} dense ones")
    pixels = np.array([layer.pixels if name == "mac_share" else 1 for layer in layers], float)
    nearest = []
    for only_dividing in (True, False):
        candidates = _candidates(layers, only_dividing)
        if not candidates:
            continue
        index_a, index_b, split, share = _search(layers, candidates, pixels, kept, parity)
        settings = {}
        for position, layer in enumerate(layers):
            candidate = candidates[index_a if position < split else index_b]
            settings[layer.name] = _setting(layer, candidate) if layer.sparse else None
        if abs(share - kept) <= NETWORK_TOLERANCE:
            return count_network(layers, settings, parity)
        nearest.append(f"{1 - share if name == 'sparsity' else share:.4f}")
    received = sparsity if name == "sparsity" else mac_share
    raise ValueError(
        f"`{name}` can't be reached within {NETWORK_TOLERANCE} by these layers. Nearest "
        f"reachable: {', '.join(sorted(set(nearest)))}. Received: {name}={received}"
    )


def _setting(layer, candidate):
    """(g, p) of a candidate (g, p, p of 1x1 layers), cut to the layer's width."""
    g, p, p_of_1x1 = candidate
    if layer.kernel_size == (1, 1):
        return (0, p_of_1x1)
    g = min(g, layer.in_channels)
    return (g, min(p, layer.in_channels - layer.in_channels // g))


def _candidates(layers, only_dividing):
    """Triples (g, p, p of 1x1 layers) that every sparse layer can take."""
    kxk = {layer.in_channels for layer in layers if layer.sparse and layer.kernel_size != (1, 1)}
    one = {layer.in_channels for layer in layers if layer.sparse and layer.kernel_size == (1, 1)}
    p_of_1x1 = [0] if not one else [
        p for p in range(1, min(one) + 1) if all(width % p == 0 for width in one)
    ]  # fmt: skip
    if not kxk:
        return [(0, 0, p) for p in p_of_1x1]
    groups = [
        g for g in range(1, max(kxk) + 1)
        if not only_dividing or all(width % min(g, width) == 0 for width in kxk)
    ][:128]  # fmt: skip
    return [
        (g, p, one) for g in groups for p in range(65 if g > 1 else 1) for one in p_of_1x1
    ]  # fmt: skip


def _search(layers, candidates, pixels, kept, parity):
    """The best (candidate of the first layers, of the last, split, share of weights kept).

    Every pair of candidates is weighed at every split; what is within tolerance wins over what
    is not, then the lower cost, then the smaller miss.
    """
    live = np.zeros((len(layers), len(candidates)))
    cost = np.zeros_like(live)
    for line, layer in enumerate(layers):
        if not layer.sparse:
            live[line] = layer.dense_weight_count
            continue
        g, p = np.array([_setting(layer, candidate) for candidate in candidates]).T
        shape = (layer.in_channels, layer.filters)
        live[line] = live_weights(*shape, layer.kernel_size, g, p, parity)
        if layer.kernel_size != (1, 1):
            cost[line] = awkwardness(*shape, g, p)
    total = sum(
        layer.dense_weight_count * pixel for layer, pixel in zip(layers, pixels, strict=True)
    )
    share = live * pixels[:, None] / total
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
            best = (keys[index_a, index_b], index_a, index_b, split, reached[index_a, index_b])
    return best[1:]


def _splits(layers):
    """0 (one setting for all), then the places between two sparse layers."""
    sparse = [position for position, layer in enumerate(layers) if layer.sparse]
    return [0, *sparse[1:]]
