"""The picture of an experiment that compares no methods: a line of points for each row."""

import statistics

from paper.records import last_accuracy
from paper.result_tables import found, subjects


def plot_rows(cells, records, path):
    """Draw test accuracy by row, a colour for each column, a picture for each network.

    Small signs are seeds, bars the standard deviation about their mean. A row that was not run at
    all is left out, as is a network of which one row alone was run.

    Returns:
        bool, whether there was anything to draw.
    """
    from matplotlib.figure import Figure

    groups = {}
    for (network, dataset, column), group in subjects(cells).items():
        for cell in group:
            if accuracies := [100 * last_accuracy(record) for record in found(cell, records)]:
                rows = groups.setdefault((network, dataset), {})
                rows.setdefault(cell.row, {})[column] = accuracies
    groups = {subject: rows for subject, rows in groups.items() if len(rows) > 1}
    if not groups:
        return False
    columns = list(dict.fromkeys(cell.column for cell in cells))
    ran = {row for rows in groups.values() for row in rows}
    names = [row for row in dict.fromkeys(cell.row for cell in cells) if row in ran]
    size = (2.5 + 4.5 * len(groups), 1.2 + 0.42 * len(names))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(1, len(groups), squeeze=False, sharey=True)[0]
    axes[0].set_yticks(range(len(names)), names)
    axes[0].set_ylim(len(names) - 0.5, -0.5)
    for axis, ((network, dataset), rows) in zip(axes, groups.items(), strict=True):
        for row, results in rows.items():
            for column, accuracies in results.items():
                number = columns.index(column)
                # A little apart, so that bars of one row do not hide each other.
                y = names.index(row) + 0.16 * (number - (len(columns) - 1) / 2)
                _draw(axis, accuracies, y, f"C{number}", column)
        axis.set(title=f"{network}, {dataset}", xlabel="accuracy, %")
        axis.grid(alpha=0.3)
    handles = {}
    for axis in axes:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    if labels := [column for column in columns if column in handles]:
        shown = [handles[label] for label in labels]
        figure.legend(shown, labels, loc="outside right upper", fontsize=8, frameon=False)
    figure.savefig(path, dpi=130, format="png")
    return True


def _draw(axis, accuracies, y, color, label):
    bar = statistics.stdev(accuracies) if len(accuracies) > 1 else 0
    mean = statistics.mean(accuracies)
    axis.errorbar(
        mean, y, xerr=bar, fmt="o", color=color, capsize=2, markersize=5, label=label or "_"
    )
    axis.scatter(accuracies, [y] * len(accuracies), s=6, color=color, alpha=0.6, zorder=3)
