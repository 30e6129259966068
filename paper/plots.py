"""The pictures of the page: accuracy by sparsity and by multiply-adds."""

import statistics

from paper.records import last_accuracy
from paper.result_tables import found, subjects
from paper.tables import OURS

GREYS = dict(zip(OURS, ("black", "dimgray", "darkgray", "lightgray"), strict=True))


def _axes(columns):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2 * columns, 4.0), layout="constrained")
    return figure, figure.subplots(1, columns, squeeze=False)[0]


def _styles(groups):
    """One colour and one sign for each row of all pictures: dict row -> arguments of matplotlib."""
    rows = sorted({row for rows in groups.values() for row in rows})
    others = [row for row in rows if row not in OURS]
    ours = [row for row in OURS if row in rows]  # the first above the others
    styles = {
        row: {"color": GREYS[row], "marker": "o", "zorder": 3 + 1 / (1 + place)}
        for place, row in enumerate(ours)
    }
    for number, row in enumerate(others):
        styles[row] = {"color": f"C{number % 10}", "marker": "sv^D"[number // 10 % 4]}
    return styles


def _legend(figure, axes):
    """One legend right of all pictures."""
    found = {}
    for axis in axes:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    ours = [row for row in OURS if row in found]
    labels = ours + sorted(found.keys() - set(ours))
    handles = [found[label] for label in labels]
    figure.legend(handles, labels, loc="outside right upper", fontsize=8, frameon=False)


def plot_accuracy(cells, records, path):
    """Draw test accuracy by sparsity, a line for each method, a picture for each network.

    A network of which one method alone was run has no picture.

    Returns:
        bool, whether there was anything to draw.
    """
    groups = {}
    for (network, dataset, column), group in subjects(cells).items():
        for cell in group:
            accuracies = [last_accuracy(record) for record in found(cell, records)]
            if accuracies and column:
                lines = groups.setdefault((network, dataset), {})
                lines.setdefault(cell.row, []).append((float(column), accuracies))
    groups = {subject: lines for subject, lines in groups.items() if len(lines) > 1}
    if not groups:
        return False
    figure, axes = _axes(len(groups))
    styles = _styles(groups)
    for axis, ((network, dataset), lines) in zip(axes, groups.items(), strict=True):
        # A little apart, so that bars of one sparsity do not hide each other.
        for number, (row, points) in enumerate(sorted(lines.items())):
            points.sort()
            places = [index_of(value) + 0.04 * (number - len(lines) / 2) for value, _ in points]
            means = [100 * statistics.mean(values) for _, values in points]
            bars = [100 * statistics.stdev(v) if len(v) > 1 else 0 for _, v in points]
            axis.errorbar(
                places, means, bars, label=row, capsize=2, markersize=5, **styles[row],
                linewidth=2 if row == "SSC" else 1, linestyle="--" if row == "dense" else "-",
            )  # fmt: skip
        columns = sorted({value for points in lines.values() for value, _ in points})
        axis.set_xticks([index_of(value) for value in columns], [f"{c:g}" for c in columns])
        axis.set(title=f"{network}, {dataset}", xlabel="network sparsity")
        axis.set_ylabel("test accuracy, %")
        axis.grid(alpha=0.3)
    _legend(figure, axes)
    figure.savefig(path, dpi=130, format="png")
    return True


def index_of(sparsity):
    """Return where a sparsity stands on the axis: halvings of the density.

    Example:

    >>> round(index_of(0.75), 6)
    2.0
    """
    import math

    return -math.log2(1 - sparsity)


def plot_multiply_adds(cells, records, path):
    """Draw test accuracy by multiply-adds: each run's own live weights on each map's pixels.

    A network of which one method alone was run has no picture.

    Returns:
        bool, whether there was anything to draw.
    """
    from matplotlib import ticker

    groups = {}
    for (network, dataset, _), group in subjects(cells).items():
        for cell in group:
            for record in found(cell, records):
                points = groups.setdefault((network, dataset), {}).setdefault(cell.row, [])
                points.append((record["multiply_adds"], 100 * last_accuracy(record)))
    groups = {subject: rows for subject, rows in groups.items() if len(rows) > 1}
    if not groups:
        return False
    figure, axes = _axes(len(groups))
    styles = _styles(groups)
    for axis, ((network, dataset), rows) in zip(axes, groups.items(), strict=True):
        for row, points in sorted(rows.items()):
            axis.scatter(*zip(*points, strict=True), label=row, s=16, **styles[row])
        axis.set(title=f"{network}, {dataset}", xscale="log", xlabel="multiply-adds, millions")
        axis.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
        axis.xaxis.set_major_formatter(lambda count, _: f"{count / 1e6:g}")
        axis.xaxis.set_minor_formatter(ticker.NullFormatter())
        axis.set_ylabel("test accuracy, %")
        axis.grid(alpha=0.3)
    _legend(figure, axes)
    figure.savefig(path, dpi=130, format="png")
    return True
