"""Draw the results: how much faster than the fastest dense Keras every competitor is.

python benchmarks/plot.py benchmarks/results/*-train-*.csv --output docs/speed.png
"""

import argparse
import csv
from pathlib import Path

import matplotlib.pyplot as plt

DENSE = "dense"  # competitors whose names begin so are Keras's dense layers
COLOURS = {"SSC": "tab:blue", "dense": "tab:gray", "PyTorch": "tab:gray"}


def read(path):
    """Return (title, [(competitor, ratio, low, high)]) of a file of one task."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    fastest = min(float(r["median_ms"]) for r in rows if r["competitor"].startswith(DENSE))
    bars = [
        (
            row["competitor"],
            *(fastest / float(row[c]) for c in ("median_ms", "quartile_3_ms", "quartile_1_ms")),
        )
        for row in rows
    ]
    first = rows[0]
    return f"{first['network']}, {first['task']}, batch {first['batch']}\n{first['cpu']}", bars


def draw(paths, output):
    """One panel a file; whiskers are the quartiles."""
    columns = min(2, len(paths))
    lines = -(-len(paths) // columns)
    most_bars = max(len(read(path)[1]) for path in paths)
    size = (6 * columns, (1.2 + 0.24 * most_bars) * lines)
    figure, panels = plt.subplots(lines, columns, figsize=size, squeeze=False, layout="constrained")
    for panel in panels.flat[len(paths) :]:
        panel.set_visible(False)
    for path, panel in zip(paths, panels.flat, strict=False):
        title, bars = read(path)
        names, ratios, low, high = zip(*reversed(bars), strict=True)
        colours = [COLOURS.get(name.split(",")[0].split()[0], "tab:orange") for name in names]
        spread = [
            [ratio - least for ratio, least in zip(ratios, low, strict=True)],
            [most - ratio for ratio, most in zip(ratios, high, strict=True)],
        ]
        drawn = panel.barh(names, ratios, xerr=spread, color=colours, ecolor="black", capsize=2)
        panel.bar_label(drawn, [f"{ratio:.2f}" for ratio in ratios], padding=6)
        panel.axvline(1, color="black", linewidth=0.8)
        panel.set_xlim(right=1.2 * max(high))
        panel.set_title(title, fontsize=10)
        panel.set_xlabel("times as fast as the fastest dense Keras")
    Path(output).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(output, dpi=110)


def main():
    """Parse the command line and draw."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("results", nargs="+", type=Path)
    parser.add_argument("--output", required=True)
    arguments = parser.parse_args()
    draw(arguments.results, arguments.output)


if __name__ == "__main__":
    main()
