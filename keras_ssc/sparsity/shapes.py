"""What the solvers of (g, p) know of layers and networks, and how they count weights.

One definition everywhere. *Layer sparsity* = 1 - live / dense weights of a layer's kernel.
*Network sparsity* = 1 - live / dense over all Conv and Dense kernels, stem, shortcuts and
classifier included; biases and BatchNormalization are not counted (GraSP's definition).
"""

from dataclasses import dataclass

import numpy as np

from keras_ssc.arguments import one_of
from keras_ssc.patterns import PARITIES


class UnreachableSparsity(ValueError):
    """A sparsity or share of multiply-adds that no (g, p) comes near enough to.

    Args:
        message: str.
        nearest: list of floats, the nearest that can be reached, in the unit that was asked.

    Example:

    >>> try:
    ...     keras_ssc.choose_pattern(8, 8, 3, sparsity=0.99)
    ... except UnreachableSparsity as error:
    ...     print([round(value, 4) for value in error.nearest])
    [0.9375]
    """

    def __init__(self, message: str, nearest: list[float]):
        super().__init__(message)
        self.nearest = [float(value) for value in nearest]


def pattern_weight_count(
    in_channels: int,
    filters: int,
    kernel_size: tuple[int, int],
    g: int | np.ndarray,
    p: int | np.ndarray,
    parity: str = "halves",
    dense_taps: bool = False,
) -> np.ndarray:
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

    Example:

    >>> int(pattern_weight_count(64, 64, (3, 3), 8, 3))
    3456
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
    kernel_size: tuple[int, int]
    output_size: tuple[int, int] = (1, 1)
    sparse: bool = True
    stage: int = 0
    groups: int = 1

    @property
    def dense_weight_count(self) -> int:
        """K K M N / groups."""
        per_filter = self.kernel_size[0] * self.kernel_size[1] * self.in_channels // self.groups
        return per_filter * self.filters

    @property
    def pixels(self) -> int:
        """Pixels of the output map; multiply-adds = pixels * live weights."""
        return self.output_size[0] * self.output_size[1]


@dataclass(frozen=True)
class NetworkChoice:
    """Settings for a whole network, and what they reach.

    Attributes:
        settings: dict, layer name -> (g, p), or None where the layer stays dense.
        sparsity: network sparsity reached.
        layer_sparsity: sparsity of the sparse layers together.
        mac_share: multiply-adds as a share of the dense counterpart's.

    Example:

    >>> layers = [LayerShape("a", 64, 64, (3, 3))]
    >>> count_network(layers, {"a": (8, 3)}).settings
    {'a': (8, 3)}
    """

    settings: dict[str, tuple[int, int] | None]
    sparsity: float
    layer_sparsity: float
    mac_share: float


def count_network(
    layers: list[LayerShape],
    settings: dict[str, tuple[int, int] | None],
    parity: str = "halves",
) -> NetworkChoice:
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
        live.append(int(pattern_weight_count(*shape, *setting, parity)) if setting else dense[-1])
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
