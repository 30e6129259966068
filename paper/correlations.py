"""Figure 3: the correlation of each layer's filters, as a table and as a picture."""

import statistics

from paper.records import last_accuracy
from paper.result_tables import (
    found,
    mean_and_deviation,
    subjects,
    table_line,
    title_of,
)
from paper.tables import OURS


def levels(record):
    """Return the correlations of a record's convolutions, in the order of the network."""
    return list(record["correlation"].values())


def drawn(cells, records):
    """Return {row: record} with one factor of SO and of DSO: that of the best accuracy.

    Args:
        cells: list of `Cell`, of one column.
        records: `Records`; of several seeds the first is taken.
    """
    best = {}
    for cell in cells:
        for record in found(cell, records)[:1]:
            family = cell.row if cell.row in OURS else cell.row.split()[0]
            if family not in best or last_accuracy(record) > last_accuracy(best[family][1]):
                best[family] = (cell.row, record)
    return dict(best.values())


def correlation_table(cells, records):
    """Return the Markdown tables of figure 3: in how many layers SSC lies below each other row."""
    parts = []
    for subject, group in subjects(cells).items():
        ran = {cell.row: found(cell, records) for cell in group}
        ours = [row for row in ran if row in OURS]
        chosen = drawn(group, records)
        head = ["run", "accuracy", "mean correlation", "drawn"]
        head += [f"{row} below it" for row in ours]
        lines = [table_line(head), "|---" * len(head) + "|"]
        for row, records_ in ran.items():
            if not records_:
                lines.append(table_line([row, "not run"] + [""] * (len(head) - 2)))
                continue
            accuracy = mean_and_deviation([last_accuracy(record) for record in records_])
            mean = f"{statistics.mean(levels(records_[0])):.3f}"
            below = ["" if row in ours else _below(ran[own], records_) for own in ours]
            lines.append(table_line([row, accuracy, mean, "yes" if row in chosen else "", *below]))
        parts += [f"**{title_of(subject)}**", "\n".join(lines)]
    return "\n\n".join(parts)


def _below(ours, theirs):
    if not ours:
        return "not run"
    pairs = list(zip(levels(ours[0]), levels(theirs[0]), strict=True))
    return f"in {sum(a < b for a, b in pairs)} of {len(pairs)}"


def plot_correlations(cells, records, path):
    """Draw figure 3: a line for each run, a picture for each column.

    Of SO and of DSO the factor with the best accuracy is drawn.

    Returns:
        bool, whether there was anything to draw.
    """
    from matplotlib.figure import Figure

    groups = {subject: drawn(group, records) for subject, group in subjects(cells).items()}
    groups = {subject: rows for subject, rows in groups.items() if rows}
    if not groups:
        return False
    figure = Figure(figsize=(9, 4 * len(groups)), layout="constrained")
    axes = figure.subplots(len(groups), 1, squeeze=False)[:, 0]
    for axis, (subject, rows) in zip(axes, groups.items(), strict=True):
        for row, record in rows.items():
            axis.plot(range(1, len(levels(record)) + 1), levels(record), marker=".", label=row)
        axis.set(title=title_of(subject), xlabel="convolution")
        axis.set(ylabel="mean absolute correlation of filters", ylim=(0, None))
        axis.grid(alpha=0.3)
        axis.legend()
    figure.savefig(path, dpi=130, format="png")
    return True
