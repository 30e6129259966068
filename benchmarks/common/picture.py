"""Draw how many times as fast as the fastest dense SSC is: six networks, inference and training."""

from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from common.cells import INFER, TRAIN, batches, settings

SIX = ("ResNet32", "VGG19", "ResNet18", "ResNet50", "MobileNetV2", "ShuffleNetV2")
FASTER, SLOWER, TRAINING = "#4c78a8", "#e45756", "#222222"


def values(cells):
    """Return [(label, inference, training)]: ratios at the largest batch, None where not run."""
    found = []
    for network in SIX:
        setting, batch = settings(network)[0], max(batches(network))
        rows = [cells.ssc(network, task, batch, setting) for task in (INFER, TRAIN)]
        ratios = [float(row["times_as_fast"]) if row else None for row in rows]
        found.append((f"{network} {setting}\nbatch {batch}", *ratios))
    return found


def draw(cells, output):
    """One bar a network, which begins at 1: to the right faster, to the left slower."""
    rows = values(cells)
    known = [ratio for row in rows for ratio in row[1:] if ratio]
    left, right = min([0.5, *known]) / 1.35, max([2, *known]) * 1.35
    figure, axes = plt.subplots(figsize=(7.6, 4.8), layout="constrained")
    for place, (_, inference, training) in enumerate(rows):
        if inference:
            colour = FASTER if inference >= 1 else SLOWER
            axes.barh(place, inference - 1, left=1, height=0.42, color=colour, zorder=2)
            _label(axes, inference, place, (0, 15), f"{inference:.2f}", colour)
        else:
            axes.annotate("inference: not run", (1.02, place), va="center", fontsize=8)
        if training:
            axes.plot(training, place, "D", color=TRAINING, mec="white", ms=7.5, zorder=3)
            _label(axes, training, place, (0, -15), f"{training:.2f}", TRAINING)
        else:
            where, at = (1.02, place), (0, -12)
            axes.annotate("training: not run", where, at, textcoords="offset points", fontsize=8)
    axes.axvline(1, color="black", linewidth=1, zorder=4)
    axes.set_xscale("log", base=2)
    ticks = [tick for tick in (0.125, 0.25, 0.5, 1, 2, 4, 8, 16) if left < tick < right]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlim(left, right)
    axes.set_yticks(range(len(rows)), [row[0] for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.grid(axis="x", color="#dddddd", zorder=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("slower  <   times as fast as the fastest dense   >  faster")
    axes.legend(
        handles=[
            Patch(color=FASTER, label="inference"),
            Patch(color=SLOWER, label="inference, slower than dense"),
            Line2D([], [], color=TRAINING, marker="D", linestyle="", label="training step"),
        ],
        loc="upper center",
        bbox_to_anchor=(0.5, 1.13),
        ncols=3,
        frameon=False,
        fontsize=9,
    )
    Path(output).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(output, dpi=110)
    plt.close(figure)


def _label(axes, x, y, offset, text, colour):
    axes.annotate(
        text, (x, y), offset, textcoords="offset points", ha="center", va="center",
        color=colour, fontsize=9, zorder=5,
        bbox={"boxstyle": "square,pad=0.05", "facecolor": "white", "edgecolor": "none"},
    )  # fmt: skip
