"""From a builder's `sparsity`, or `g` and `p`, to the setting of every layer."""

from keras_ssc.sparsity import choose_network


def choose_settings(
    shapes, sparsity, g, p, distribution, parity, default=None, mixing=False, pattern_for="cpu"
):
    """Return (g, p), or None for dense, for every layer: dict by layer name.

    Args:
        shapes: list of `LayerShape`.
        sparsity: wanted network sparsity in [0, 1), 0 for the dense counterpart; or None.
        g, p: ints for every sparse layer, or None.
        distribution, parity: as for `choose_network`.
        default: function sparse `LayerShape` -> (g, p), for where neither a sparsity nor g and p
            are given; None for sparsity 0.9.
        mixing, pattern_for: as for `choose_network`; a `g` and `p` that are given stay as they
            are.
    """
    if sparsity is not None and (g is not None or p is not None):
        raise ValueError(
            "Give either `sparsity` or `g` and `p`, not both. "
            f"Received: sparsity={sparsity}, g={g}, p={p}"
        )
    if (g is None) != (p is None):
        raise ValueError(f"`g` and `p` go together. Received: g={g}, p={p}")
    if g is not None:
        if g and not any(shape.sparse and shape.kernel_size != (1, 1) for shape in shapes):
            raise ValueError(
                f"`g` must be 0 where all sparse layers are 1x1 convolutions. Received: g={g}"
            )
        return {shape.name: _same_setting(shape, g, p) for shape in shapes}
    if sparsity is None and default is not None:
        return {shape.name: default(shape) if shape.sparse else None for shape in shapes}
    sparsity = 0.9 if sparsity is None else sparsity
    if not isinstance(sparsity, bool) and sparsity == 0:
        return {shape.name: None for shape in shapes}
    rules = {"parity": parity, "distribution": distribution, "mixing": mixing}
    rules["pattern_for"] = pattern_for
    choice = choose_network(shapes, sparsity=sparsity, **rules)
    return choice.settings


def _same_setting(shape, g, p):
    """(g, p) as given; (0, p) for a 1x1 layer, which stays dense where p is 0."""
    if not shape.sparse:
        return None
    if shape.kernel_size == (1, 1):
        return (0, p) if p else None
    return (g, p)


def half_pointwise(shape):
    """The paper's setting for MobileNetV2: 1x1 layers (0, 2); fused layers (M, 1)."""
    return (0, 2) if shape.kernel_size == (1, 1) else (shape.in_channels, 1)
