"""Choosing (g, p): the settings of one layer, or of a whole network, for a wanted sparsity.

One definition everywhere. *Layer sparsity* = 1 - live / dense weights of a layer's kernel.
*Network sparsity* = 1 - live / dense over all Conv and Dense kernels, stem, shortcuts and
classifier included; biases and BatchNormalization are not counted (GraSP's definition).
"""

from dataclasses import dataclass

import numpy as np

from keras_ssc.arguments import fraction, one_of
from keras_ssc.patterns import PARITIES, SSCPattern

# A layer's density may miss its target by this share of it (at 0.9: by one point).
LAYER_TOLERANCE = 0.1
# A network's sparsity may miss its target by 0.3 points.
NETWORK_TOLERANCE = 0.003
# Values of g, and of p, that are tried for one layer.
MOST_STEPS = 2048


class UnreachableSparsity(ValueError):
    """A sparsity or share of multiply-adds that no (g, p) comes near enough to.

    Args:
        message: str.
        nearest: list of floats, the nearest that can be reached, in the unit that was asked.

    Example:

    >>> try:
    ...     choose_pattern(8, 8, 3, sparsity=0.99)
    ... except UnreachableSparsity as error:
    ...     print([round(value, 4) for value in error.nearest])
    [0.9375]
    """

    def __init__(self, message, nearest):
        super().__init__(message)
        self.nearest = [float(value) for value in nearest]


def live_weights(in_channels, filters, kernel_size, g, p, parity="halves", dense_taps=False):
    """Live weights of a pattern in closed form (equations 5 and 8, with exact floors).

    Args:
        in_channels: int, M.
        filters: int, N.
        kernel_size: (rows, columns).
        g: int or int array, in [0, M].
        p: int or int array, in [0, M - floor(M / g)].
        parity: `"halves"` or `"alternate"`.
        dense_taps: bool.

    Returns:
        Int array, of the shape of `g` and `p` broadcast; equals `SSCPattern.weight_count`.
    """
    parity = one_of("parity", parity, PARITIES)
    g, p = np.asarray(g), np.asarray(p)
    taps = kernel_size[0] * kernel_size[1]
    even_filters = filters // 2 if parity == "halves" else filters - filters // 2
    odd_taps = taps if dense_taps else taps // 2
    even_taps = taps if dense_taps else taps - taps // 2
    kxk = np.where(g > 0, in_channels // np.maximum(g, 1), 0)
    pointwise = np.where(p > 0, (in_channels - kxk) // np.maximum(p, 1), 0)
    per_filter_pair = even_filters * even_taps + (filters - even_filters) * odd_taps
    return kxk * per_filter_pair + pointwise * filters


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


def choose_pattern(
    in_channels,
    filters,
    kernel_size=3,
    *,
    sparsity=None,
    mac_share=None,
    shift="cyclic",
    parity="halves",
    dense_taps=False,
    set_offset=0,
):
    """Return the pattern of one layer that comes near a wanted sparsity.

    Among the (g, p) whose density lies within a tenth of the wanted one, the choice falls on
    those with g dividing M, filters >= 2 g, every channel read, fast mixing of the channel classes
    and g near 8; then on the nearest. A 1x1 layer takes g = 0 and a p that divides M.

    Args:
        in_channels: int, M.
        filters: int, N.
        kernel_size: int or (rows, columns).
        sparsity: float in (0, 1), the fraction of the kernel's weights to remove.
        mac_share: float in (0, 1), the share of multiply-adds to keep, in place of `sparsity`;
            for one layer that is 1 - sparsity.
        shift, parity, dense_taps, set_offset: as for `SSCPattern`.

    Returns:
        An `SSCPattern`; its `.sparsity` says what was reached.

    Raises:
        ValueError: no (g, p) comes near enough; the message names the nearest.

    Example:

    >>> pattern = choose_pattern(64, 64, 3, sparsity=0.9)
    >>> pattern.g, pattern.p, round(pattern.sparsity, 4)
    (8, 3, 0.9062)
    """
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
    live = live_weights(in_channels, filters, first.kernel_size, g, p, parity, dense_taps)
    reached = live / first.dense_weight_count
    miss = np.abs(reached / density - 1)
    near = np.flatnonzero(miss <= LAYER_TOLERANCE)
    if not len(near):
        raise _unreachable(in_channels, filters, first, sparsity, g, p, reached)
    cost = awkwardness(in_channels, filters, g, p) + miss
    best = None
    for index in near[np.argsort(cost[near], kind="stable")][:32]:
        pattern = SSCPattern(
            in_channels, filters, first.kernel_size, int(g[index]), int(p[index]), **rules
        )
        best = best or pattern
        if not pattern.unread_channels:
            return pattern
    return best


def _layer_candidates(in_channels, kernel_size):
    """All (g, p) worth a look for one layer: two int arrays."""
    if kernel_size == (1, 1):
        p = np.arange(1, in_channels + 1)
        p = p[in_channels % p == 0]
        return np.zeros_like(p), p
    steps = np.arange(1, in_channels + 1)
    if in_channels > MOST_STEPS:  # all pairs would not fit in memory
        steps = np.unique(np.geomspace(1, in_channels, MOST_STEPS).astype(int))
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


@dataclass(frozen=True)
class LayerShape:
    """What the solver needs to know of one Conv or Dense layer.

    Args:
        name: str.
        in_channels: int, M.
        filters: int, N.
        kernel_size: (rows, columns); (1, 1) for a Dense layer.
        output_size: (height, width) of the output map; (1, 1) for a Dense layer.
        sparse: bool. False: the layer stays dense.
        stage: int. Settings change between stages rather than inside one.
        groups: int; 1 but for grouped and depthwise convolutions.

    Example:

    >>> LayerShape("conv1", 64, 64, (3, 3), (16, 16)).dense_weight_count
    36864
    """

    name: str
    in_channels: int
    filters: int
    kernel_size: tuple
    output_size: tuple = (1, 1)
    sparse: bool = True
    stage: int = 0
    groups: int = 1

    @property
    def dense_weight_count(self):
        """K K M N / groups."""
        per_filter = self.kernel_size[0] * self.kernel_size[1] * self.in_channels // self.groups
        return per_filter * self.filters

    @property
    def pixels(self):
        """Pixels of the output map; multiply-adds = pixels * live weights."""
        return self.output_size[0] * self.output_size[1]


@dataclass(frozen=True)
class NetworkChoice:
    """Settings for a whole network, and what they reach.

    Attributes:
        settings: dict, layer name -> (g, p), or None where the layer stays dense.
        sparsity: network sparsity reached.
        layer_sparsity: sparsity of the sparse layers together.
        mac_share: multiply-adds as a share of the dense twin's.

    Example:

    >>> layers = [LayerShape("a", 64, 64, (3, 3))]
    >>> count_network(layers, {"a": (8, 3)}).settings
    {'a': (8, 3)}
    """

    settings: dict
    sparsity: float
    layer_sparsity: float
    mac_share: float


def count_network(layers, settings, parity="halves"):
    """Return the `NetworkChoice` that `settings` make of `layers`.

    Args:
        layers: list of `LayerShape`.
        settings: dict, name -> (g, p) or None; a missing name stays dense.
        parity: as for `SSCPattern`.

    Example:

    >>> layers = [LayerShape("a", 64, 64, (3, 3)), LayerShape("b", 64, 10, (1, 1), sparse=False)]
    >>> round(count_network(layers, {"a": (8, 3)}).sparsity, 4)
    0.8908
    """
    live, dense, pixels, chosen = [], [], [], []
    for layer in layers:
        setting = settings.get(layer.name)
        dense.append(layer.dense_weight_count)
        pixels.append(layer.pixels)
        chosen.append(setting is not None)
        shape = (layer.in_channels, layer.filters, layer.kernel_size)
        live.append(int(live_weights(*shape, *setting, parity)) if setting else dense[-1])
    live, dense, pixels = (np.array(values, float) for values in (live, dense, pixels))
    chosen = np.array(chosen, bool)
    return NetworkChoice(
        settings={layer.name: settings.get(layer.name) for layer in layers},
        sparsity=float(1 - live.sum() / dense.sum()),
        layer_sparsity=(
            float(1 - live[chosen].sum() / dense[chosen].sum()) if chosen.any() else 0.0
        ),
        mac_share=float((live * pixels).sum() / (dense * pixels).sum()),
    )
