"""Which layers `sparsify` converts and with which patterns, and why the others stay."""

from dataclasses import dataclass

import keras

from keras_ssc._summary import summary
from keras_ssc.arguments import boolean, fraction, one_of
from keras_ssc.convert.eligibility import conv_shape, layers_with_reasons
from keras_ssc.model_graph import check_graph
from keras_ssc.patterns import PARITIES, SHIFTS, SSCPattern
from keras_ssc.sparsity import GPU_TOLERANCE, LAYER_TOLERANCE, choose_together
from keras_ssc.summary_rows import layer_rows
from keras_ssc.tables import text_table


@dataclass(frozen=True)
class PlannedLayer:
    """One layer with a kernel.

    Attributes:
        layer: the layer of the dense model.
        pattern: the `SSCPattern` it gets, or None: it stays as it is.
        note: str, why it stays, or that it is too narrow; mostly empty.
        weights: int, of its kernels in the dense model.
        macs: int, its multiply-adds there; None where the map's size is unknown.
    """

    layer: keras.layers.Layer
    pattern: SSCPattern | None
    note: str
    weights: int
    macs: int | None


@dataclass(frozen=True)
class ConversionPlan:
    """What `sparsify` does to a model; `print` it for a table.

    Attributes:
        layers: list of `PlannedLayer`, one for each convolution and Dense layer.
        sparsity: float, as asked.
        layer_sparsity: float, reached by the converted layers together.
        network_sparsity: float, reached over all convolutions and Dense layers.
        dense_macs: int, multiply-adds of the dense model, or None.
        tolerance: float, the share of the weights to keep by which they may be missed.
    """

    layers: list
    sparsity: float
    layer_sparsity: float
    network_sparsity: float
    dense_macs: int | None
    tolerance: float = LAYER_TOLERANCE

    @property
    def missed(self):
        """Whether the weights kept in the converted layers are not near to those asked."""
        return abs(self.layer_sparsity - self.sparsity) > self.tolerance * (1 - self.sparsity)

    @property
    def converted(self):
        """Names of the layers that become SSCConv2D."""
        return [one.layer.name for one in self.layers if one.pattern]

    @property
    def too_narrow(self):
        """Names of the converted layers whose sparsest pattern keeps more than was asked."""
        return [one.layer.name for one in self.layers if one.pattern and one.note]

    @property
    def left_alone(self):
        """{name: why} of the layers that stay as they are."""
        return {one.layer.name: one.note for one in self.layers if not one.pattern}

    @property
    def rows(self):
        """The table as a list of dicts, None in the cells of layers that stay as they are."""
        cells = ("in_channels", "filters", "kernel_size", "g", "p", "set_offset", "sparsity")
        return [
            {
                "name": one.layer.name,
                "type": type(one.layer).__name__,
                **{cell: getattr(one.pattern, cell, None) for cell in cells},
                "weights": one.weights,
                "macs_share": self._share(one),
                "note": one.note,
            }
            for one in self.layers
        ]

    def _share(self, *layers):
        """The share of layers in the dense model's multiply-adds, None where that is unknown."""
        macs = [one.macs for one in layers]
        return None if self.dense_macs is None or None in macs else sum(macs) / self.dense_macs

    def __str__(self):
        head = ("layer", "type", "weights", "of macs", "channels", "filters", "kernel", "g", "p",
                "sparsity", "note")  # fmt: skip
        lines = []
        for one in self.layers:
            pattern, numbers = one.pattern, ("-",) * 6
            if pattern:
                kernel = "x".join(str(side) for side in pattern.kernel_size)
                numbers = (pattern.in_channels, pattern.filters, kernel, pattern.g, pattern.p)
                numbers = (*map(str, numbers), f"{pattern.sparsity:.4f}")
            costs = f"{one.weights:,}", _percent(self._share(one))
            lines.append((one.layer.name, type(one.layer).__name__, *costs, *numbers, one.note))
        dense = [one for one in self.layers if not one.pattern]
        missed = ": not reached, the widths allow no nearer one" if self.missed else ""
        return "\n".join([
            text_table(head, lines, left=(0, 1, len(head) - 1)),
            "",
            f"Converted                 {len(self.converted)} of {len(self.layers)} layers, "
            f"{len(self.too_narrow)} of them too narrow for the sparsity asked",
            f"Left as they are          {len(dense)} layers with "
            f"{sum(one.weights for one in dense):,} weights and "
            f"{_percent(self._share(*dense))} of the multiply-adds (macs)",
            f"Sparsity of the converted {self.layer_sparsity:.4f}, "
            f"asked {self.sparsity:.4f}{missed}",
            f"Network sparsity          {self.network_sparsity:.4f}",
        ])  # fmt: skip


def _percent(share):
    return "?" if share is None else f"{share:.1%}"


def conversion_plan(
    model,
    sparsity=0.9,
    *,
    keep=None,
    dense=False,
    shift="cyclic",
    parity="halves",
    pattern_for="cpu",
):
    """Return what `sparsify` would do with the same arguments. Nothing is changed.

    Args:
        model, sparsity, keep, dense, shift, parity, pattern_for: as for `keras_ssc.sparsify`.

    Returns:
        `ConversionPlan`: `print` it, or read its `converted`, `too_narrow`, `left_alone`, `rows`,
        `layer_sparsity` and `network_sparsity`.

    Raises:
        TypeError, ValueError: as `keras_ssc.sparsify`.

    Example:

    >>> model = keras.Sequential([
    ...     keras.Input((16, 16, 3)), keras.layers.Conv2D(64, 3, name="first"),
    ...     keras.layers.Conv2D(64, 3, name="second")])
    >>> plan = conversion_plan(model, 0.9)
    >>> plan.converted, plan.left_alone
    (['second'], {'first': 'first convolution'})
    >>> round(plan.layer_sparsity, 3), round(plan.network_sparsity, 3)
    (0.906, 0.866)
    """
    sparsity = fraction("sparsity", sparsity)
    boolean("dense", dense)
    shift = one_of("shift", shift, SHIFTS)
    parity = one_of("parity", parity, PARITIES)
    check_graph(model)
    layers = layers_with_reasons(model, keep, dense)
    shapes = [conv_shape(layer) for layer, why_not in layers if not why_not]
    if not shapes:
        found = ", ".join(f"{layer.name} ({why_not})" for layer, why_not in layers)
        raise ValueError(
            "`model` must hold a convolution to convert. "
            f"Received: {model.name!r} with {found or 'no convolution'}"
        )
    rules = {"shift": shift, "parity": parity, "pattern_for": pattern_for}
    patterns, narrow = choose_together(shapes, sparsity, **rules)
    chosen = iter(zip(patterns, narrow, strict=True))
    before = summary(model)
    planned = []
    for layer, why_not in layers:
        pattern, too_narrow = (None, False) if why_not else next(chosen)
        note = "too narrow" if too_narrow else why_not
        planned.append(PlannedLayer(layer, pattern, note, *_costs(layer)))
    removed = sum(one.dense_weight_count - one.weight_count for one in patterns)
    return ConversionPlan(
        layers=planned,
        sparsity=sparsity,
        layer_sparsity=removed / sum(one.dense_weight_count for one in patterns),
        network_sparsity=1 - (before.live_weights - removed) / before.dense_weights,
        dense_macs=before.macs,
        tolerance=GPU_TOLERANCE if pattern_for == "gpu" else LAYER_TOLERANCE,
    )


def _costs(layer):
    """(weights, multiply-adds) of one layer."""
    rows = layer_rows(layer)
    macs = [row["macs"] for row in rows]
    return sum(row["live_weights"] for row in rows), None if None in macs else sum(macs)
