"""Pictures of a run: learning curves, and filter correlation over time."""

import itertools


def _figure(height):
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError('Plots need matplotlib: pip install "keras-ssc[plot]"') from error
    return Figure(figsize=(9, height), layout="constrained", dpi=120)


def plot_curves(metrics, path):
    """Draw loss and accuracy by epoch, on training and test images.

    Args:
        metrics: list of rows of metrics.csv.
        path: file to write.

    Example:

        plot_curves(record.metrics, "curves.png")
    """
    figure = _figure(3.6)
    epochs = [row["epoch"] for row in metrics]
    drops = [
        later["epoch"] - 0.5
        for earlier, later in itertools.pairwise(metrics)
        if later["learning_rate"] < 0.99 * earlier["learning_rate"]
    ]
    for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for key, label, colour in (
            (name, "training", "#7a7a7a"),
            (f"val_{name}", "test", "#c1272d"),
        ):
            axes.plot(epochs, [row[key] for row in metrics], ".-", color=colour, label=label)
        for number, drop in enumerate(drops):
            label = "learning rate x 0.1" if number == 0 else None
            axes.axvline(drop, color="#999999", linestyle=":", linewidth=1, label=label)
        axes.set(xlabel="epoch", ylabel=name)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.25)
        axes.legend(frameon=False, loc="upper right" if name == "loss" else "lower right")
    figure.savefig(path)


def plot_correlation(rows, path):
    """Draw the filter correlation C_l of every layer by epoch, coloured by depth.

    Args:
        rows: list of rows of correlation.csv.
        path: file to write.

    Example:

        plot_correlation(record.correlation, "correlation.png")

    Reference: section 4.3 of the paper.
    """
    import matplotlib

    figure = _figure(4.4)
    axes = figure.subplots()
    names = [name for name in rows[0] if name != "epoch"]
    colours = matplotlib.colormaps["viridis"]
    epochs = [row["epoch"] for row in rows]
    for depth, name in enumerate(names):
        colour = colours(depth / max(len(names) - 1, 1))
        values = [row[name] for row in rows]
        axes.plot(epochs, values, ".-", color=colour, linewidth=1)
    scale = matplotlib.cm.ScalarMappable(
        matplotlib.colors.Normalize(1, max(len(names), 2)), colours
    )
    bar = figure.colorbar(
        scale, ax=axes, label=f"layer: 1 = {names[0]}, {len(names)} = {names[-1]}"
    )
    bar.ax.yaxis.get_major_locator().set_params(integer=True)
    axes.set(xlabel="epoch", ylabel="filter correlation  $C_l$", ylim=(0, None))
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.25)
    figure.savefig(path)
