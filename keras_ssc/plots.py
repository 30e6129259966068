"""Pictures of patterns. Needs matplotlib, which comes with the `train` extra."""

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from keras_ssc.patterns import SSCPattern

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EVEN, ODD, POINTWISE, DEAD = "#0072b2", "#e69f00", "#009e73", "#e9ecf1"
SHOWN = 32  # filters and channels drawn unless asked for by name: more cannot be read
SET_GAP = 0.6  # between sets, in cells


def pyplot():
    """Return matplotlib.pyplot, or say what brings it."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError('Plots need matplotlib: pip install "keras-ssc[plot]"') from error
    return plt


def _indices(name, asked, default, count):
    """Return `asked` as a list of indices below `count`; None gives `default`."""
    chosen = list(default if asked is None else asked)
    if not chosen or any(i not in range(count) for i in chosen):
        raise ValueError(
            f"`{name}` must be indices from 0 to {count - 1}, at least one. "
            f"Received: {name}={asked!r}"
        )
    return chosen


def _some_filters(pattern):
    """Return every filter, or as many from the start as from the middle, where odd ones begin."""
    if pattern.filters <= SHOWN:
        return range(pattern.filters)
    middle, half = pattern.filters // 2, SHOWN // 2
    return [*range(half), *range(middle, middle + half)]


def _rows(pattern, filters):
    """Yield (filter, y): one row each, with a gap where a set ends or filters are left out."""
    y = 0.0
    for before, n in zip([None, *filters], filters, strict=False):
        if before is not None and (n != before + 1 or n % pattern.q == 0):
            y += SET_GAP
        yield n, y
        y += 1


def _live_taps(pattern, n):
    """Yield (channel, row, column, colour) for every weight of filter `n`."""
    odd = pattern.parities[n] and not pattern.dense_taps
    positions = pattern.positions[pattern.parities[n]]
    channels = pattern.channels(positions, np.array([n]))[:, 0]
    for (row, column, r), channel in zip(positions, channels, strict=True):
        is_kxk = pattern.g and r % pattern.g == 0
        yield channel, row, column, (ODD if odd else EVEN) if is_kxk else POINTWISE


def _legend(pattern):
    """Return (colour, text) for each kind of kernel that the pattern has."""
    size = "×".join(str(side) for side in pattern.kernel_size)
    entries = []
    if pattern.kxk_channels:
        where = f"1 in {pattern.g} channels" if pattern.g > 1 else "every channel"
        kinds = ((EVEN, "even "), (ODD, "odd "))
        for parity, (colour, kind) in enumerate(kinds[:1] if pattern.dense_taps else kinds):
            weights = len(pattern.taps(parity))
            kind = "" if pattern.dense_taps else kind
            entries.append((colour, f"{kind}{size} kernel ({weights} weights): {where}"))
    if pattern.pointwise_channels:
        where = f"1 in {pattern.p} " if pattern.p > 1 else "all "
        where += "of the others" if pattern.kxk_channels else "channels"
        entries.append((POINTWISE, f"1×1 kernel (1 weight): {where}"))
    return [*entries, (DEAD, "no weight")]


def plot_pattern(
    pattern: SSCPattern,
    path: str | os.PathLike | None = None,
    *,
    filters: Iterable[int] | None = None,
    channels: Iterable[int] | None = None,
) -> "Figure":
    """Draw which weights of a layer are live: figure 2 of the paper.

    A row is a filter, a column an input channel, and each cell the kernel between the two, with
    its live taps coloured. The gaps divide the filters into sets of q = max(g, p).

    Args:
        pattern: `SSCPattern`.
        path: where to write the picture, such as `"pattern.png"`; None writes nothing.
        filters: indices of the filters to draw. None draws up to 32: all of them, or the first
            16 and the 16 from the middle on, where the odd filters of `parity="halves"` begin.
        channels: indices of the input channels to draw. None draws the first 32.

    Returns:
        The matplotlib `Figure`. It is not shown and not kept open.

    Raises:
        ImportError: matplotlib is missing. The message names the extra that brings it.
        ValueError: `filters` or `channels` is empty or holds an index that is not there.

    Example:

    >>> from keras_ssc import SSCPattern
    >>> from keras_ssc.plots import plot_pattern
    >>> figure = plot_pattern(SSCPattern(in_channels=16, filters=16, g=8, p=3))
    >>> figure.axes[0].get_ylabel()
    'filter'

    Reference: Verma et al., "Pushing the Efficiency Limit Using Structured Sparse
    Convolutions", figure 2; figure 1 is its legend.
    """
    filters = _indices("filters", filters, _some_filters(pattern), pattern.filters)
    shown = range(min(SHOWN, pattern.in_channels))
    channels = _indices("channels", channels, shown, pattern.in_channels)
    plt = pyplot()
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Patch, Rectangle

    x_of = {channel: x for x, channel in enumerate(channels)}
    y_of = dict(_rows(pattern, filters))
    taps = list(np.ndindex(pattern.kernel_size))
    colours = {(y, x, *tap): DEAD for y in y_of.values() for x in x_of.values() for tap in taps}
    for n, y in y_of.items():
        for channel, row, column, colour in _live_taps(pattern, n):
            if channel in x_of:
                colours[y, x_of[channel], row, column] = colour
    height, width = (0.86 / side for side in pattern.kernel_size)
    squares = [
        Rectangle((x + 0.07 + column * width, y + 0.07 + row * height), 0.9 * width, 0.9 * height)
        for y, x, row, column in colours
    ]

    bottom = max(y_of.values()) + 1
    inches = (max(8, 1.4 + 0.45 * len(channels)), 1.9 + 0.45 * bottom)
    figure, axes = plt.subplots(figsize=inches, layout="constrained", facecolor="white")
    axes.add_collection(PatchCollection(squares, facecolors=list(colours.values()), linewidths=0))
    axes.set(xlim=(0, len(channels)), ylim=(bottom, 0), aspect="equal")
    axes.set(xlabel="input channel", ylabel="filter")
    axes.set_xticks(np.arange(len(channels)) + 0.5, channels)
    axes.set_yticks(np.array(list(y_of.values())) + 0.5, list(y_of))
    axes.xaxis.set(ticks_position="top", label_position="top")
    shifts = axes.secondary_yaxis("right")
    shifts.set(ylabel="shift", yticks=axes.get_yticks())
    shifts.set_yticklabels([f"{pattern.shifts[n]:+d}" for n in y_of])
    for drawn in (axes, shifts):
        drawn.tick_params(length=0)
        drawn.spines[:].set_visible(False)
    figure.suptitle(
        f"{pattern.in_channels} channels to {pattern.filters} filters, g = {pattern.g}, "
        f"p = {pattern.p}\n{pattern.weight_count:,} of {pattern.dense_weight_count:,} weights "
        f"are live: sparsity {pattern.sparsity:.3f}"
    )
    handles = [Patch(color=colour, label=text) for colour, text in _legend(pattern)]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False)
    plt.close(figure)
    if path is not None:
        figure.savefig(path, dpi=120)
    return figure
