"""Pictures of a model, layer by layer. Needs matplotlib, which comes with `train`."""

import os
from typing import TYPE_CHECKING

import keras

from keras_ssc._summary import summary
from keras_ssc.correlation import layer_correlations
from keras_ssc.plots import DEAD, EVEN, ODD, POINTWISE, pyplot

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = (EVEN, ODD, POINTWISE, "#cc79a7", "#56b4e9", "#d55e00")


def plot_model_sparsity(model: keras.Model, path: str | os.PathLike | None = None) -> "Figure":
    """Draw how many weights every layer of a model keeps.

    One bar for each convolution and Dense layer, in the order of the model: grey the weights of the
    dense counterpart, blue the live ones; beside them the layer's sparsity, none for a dense layer.

    Args:
        model: a built `keras.Model`.
        path: where to write the picture, such as `"sparsity.png"`; None writes nothing.

    Returns:
        The matplotlib `Figure`. It is not shown and not kept open.

    Raises:
        ImportError: matplotlib is missing. The message names the extra that brings it.
        ValueError: the model is not built, or holds no convolution and no Dense layer.

    Example:

    >>> model = keras.Sequential([
    ...     keras.Input((8, 8, 64)), keras_ssc.SSCConv2D(64, 3), keras.layers.Conv2D(8, 1)])
    >>> figure = plot_model_sparsity(model)
    >>> figure.axes[0].get_xlabel()
    'weights'
    """
    found = summary(model)
    if not found.rows:
        raise ValueError(
            f"`model` must hold a convolution or a Dense layer. Received: {model.name!r}"
        )
    plt = pyplot()
    places = range(len(found.rows))
    figure, (weights, sparsity) = plt.subplots(
        1, 2, sharey=True, width_ratios=(3, 1), layout="constrained", facecolor="white",
        figsize=(10, 1.6 + 0.19 * len(found.rows)),
    )  # fmt: skip
    dense = [row["dense_weights"] for row in found.rows]
    weights.barh(
        places, dense, color=DEAD, edgecolor="#aab2c0", linewidth=0.5, label="dense counterpart"
    )
    live = [row["live_weights"] for row in found.rows]
    weights.barh(places, live, color=EVEN, label="live")
    weights.set_yticks(places, [row["name"] for row in found.rows], fontsize=7)
    weights.set(xlabel="weights", ylim=(len(found.rows) - 0.4, -0.6))
    weights.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    sparsity.barh(places, [row["sparsity"] for row in found.rows], color=ODD)
    sparsity.set(xlabel="sparsity", xlim=(0, 1))
    for axes in (weights, sparsity):
        axes.grid(axis="x", alpha=0.25)
        axes.set_axisbelow(True)
        axes.tick_params(axis="y", length=0)
        axes.spines[["top", "right", "left"]].set_visible(False)
    handles, labels = weights.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False)
    figure.suptitle(
        f"{model.name}: {found.live_weights:,} of {found.dense_weights:,} weights are live, "
        f"network sparsity {found.network_sparsity:.3f}"
    )
    return _finished(plt, figure, path)


def plot_correlation(
    models: keras.Model | dict[str, keras.Model], path: str | os.PathLike | None = None
) -> "Figure":
    """Draw the filter correlation C_l of every convolution, of one model or of several.

    Args:
        models: a built `keras.Model`, or a dict {label: model} to compare networks of the same
            convolutions, such as a sparse one and its dense counterpart.
        path: where to write the picture; None writes nothing.

    Returns:
        The matplotlib `Figure`. It is not shown and not kept open.

    Raises:
        ImportError: matplotlib is missing. The message names the extra that brings it.
        ValueError: a model has no convolution, or the models have not equally many.

    Example:

    >>> sparse = keras.Sequential([
    ...     keras.Input((8, 8, 64)), keras_ssc.SSCConv2D(64, 3), keras.layers.Conv2D(8, 1)])
    >>> figure = plot_correlation({"sparse": sparse, "dense": keras_ssc.densify(sparse)})
    >>> figure.axes[0].get_ylabel()
    'filter correlation $C_l$'

    Reference: section 4.3 and figure 3 of the paper.
    """
    models = {models.name: models} if isinstance(models, keras.Model) else dict(models)
    curves = {label: layer_correlations(model) for label, model in models.items()}
    lengths = {label: len(curve) for label, curve in curves.items()}
    if len(set(lengths.values())) != 1 or 0 in lengths.values():
        raise ValueError(
            "`models` must be models with equally many convolutions, at least one. "
            f"Received: {lengths}"
        )
    plt = pyplot()
    figure, axes = plt.subplots(figsize=(9, 4), layout="constrained", facecolor="white")
    for number, (label, curve) in enumerate(curves.items()):
        places = range(1, len(curve) + 1)
        colour = COLOURS[number % len(COLOURS)]
        axes.plot(places, list(curve.values()), "o-", color=colour, markersize=4, label=label)
    axes.set(xlabel="convolution, from the input on", ylabel="filter correlation $C_l$")
    axes.set_ylim(bottom=0)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return _finished(plt, figure, path)


def _finished(plt, figure, path):
    plt.close(figure)
    if path is not None:
        figure.savefig(path, dpi=120)
    return figure
