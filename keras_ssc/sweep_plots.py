"""The picture of a sweep: a metric against bytes and multiply-adds."""

from keras_ssc.plots import EVEN, ODD, pyplot
from keras_ssc.sweeps import pareto


def plot_sweep(rows, path=None, metric="accuracy"):
    """Draw a metric against bytes and against multiply-adds, with the line of the best rows.

    The line is Pareto's: it goes through the rows that no other beats in both. The dense network
    (sparsity 0) is a square, the sparse ones are dots with their sparsity in percent.

    Args:
        rows: list of dicts, as `keras_ssc.sweep` returns them.
        path: where to write the picture; None writes nothing.
        metric: str, what of `model.evaluate` is drawn; more is better.

    Returns:
        The matplotlib `Figure`. It is not shown and not kept open.

    Raises:
        ImportError: matplotlib is missing. The message names the extra that brings it.
        ValueError: there are no rows, or none has this metric.

    Example:

    >>> rows = [{"sparsity": 0, "bytes": 4000, "macs": 9000, "accuracy": 0.91},
    ...         {"sparsity": 0.9, "bytes": 500, "macs": 1000, "accuracy": 0.9}]
    >>> [axes.get_xlabel() for axes in plot_sweep(rows).axes]
    ['bytes of all weights', 'multiply-adds of an image']
    """
    rows = list(rows)
    if not rows:
        raise ValueError("`rows` must hold a row. Received: rows=[]")
    if any(metric not in row for row in rows):
        raise ValueError(f"`metric` must be one of {tuple(rows[0])}. Received: metric={metric!r}")
    plt = pyplot()
    from matplotlib import ticker

    costs = {"bytes": "bytes of all weights", "macs": "multiply-adds of an image"}
    costs = {cost: label for cost, label in costs.items() if all(row[cost] for row in rows)}
    figure, panels = plt.subplots(
        1, len(costs), sharey=True, squeeze=False, figsize=(4.8 * len(costs), 3.8),
        layout="constrained", facecolor="white",
    )  # fmt: skip
    for axes, (cost, label) in zip(panels[0], costs.items(), strict=True):
        best = pareto(rows, cost, metric)
        axes.plot([row[cost] for row in best], [row[metric] for row in best], color=EVEN, alpha=0.5)
        for row in rows:
            dense = row["sparsity"] == 0
            marker, colour = ("s", ODD) if dense else ("o", EVEN)
            axes.plot(row[cost], row[metric], marker, color=colour, markersize=7)
            words = "dense" if dense else f"{100 * row['sparsity']:g} %"
            axes.annotate(words, (row[cost], row[metric]), (0, 7), textcoords="offset points",
                          ha="center", fontsize=8)  # fmt: skip
        axes.set(xscale="log", xlabel=label)
        # At 1, 2 and 5 of each decade, as 500 k: few enough not to touch each other.
        axes.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(ticker.EngFormatter())
        axes.xaxis.set_minor_formatter(ticker.NullFormatter())
        axes.margins(0.12, 0.15)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0][0].set_ylabel(metric)
    plt.close(figure)
    if path is not None:
        figure.savefig(path, dpi=120)
    return figure
