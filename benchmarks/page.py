"""Make docs/performance.md, the README's table and the picture from the results: no number by hand.

python benchmarks/page.py benchmarks/results/networks-NAME.csv

The file named is the README's; the page has all files of the folder.
"""

import argparse
from pathlib import Path

from common import results
from common.cells import AS_USED, INFER, TRAIN, Cells, batches, settings
from common.page_text import BEFORE, FORMS, HOW, INTRODUCTION
from common.picture import SIX, draw
from common.sections import table, with_section

ROOT = Path(__file__).parents[1]
PAGE, README, PICTURE = ROOT / "docs/performance.md", ROOT / "README.md", ROOT / "docs/speed.png"
MAKER = "benchmarks/page.py"
DENSE = "dense, Keras's layers"
PASS_NAMES = {INFER: "inference", TRAIN: "training step"}


def times(row):
    """`2.10x`, or `not run`."""
    return f"{float(row['times_as_fast']):.2f}x" if row else "not run"


def machine_line(row):
    """What a file was measured on, in one sentence."""
    threads = "one thread" if row["threads"] == "1" else f"{row['threads']} threads"
    packages = ("tensorflow", "keras", "jax", "onnxruntime")
    versions = ", ".join(f"{name} {row[name]}" for name in packages)
    return (
        f"{row['cpu']}, {row['cores']} cores, AVX-512 {row['avx512']}; {threads}; Keras on "
        f"{row['backend']}, oneDNN {row['onednn']}; our vectors: {row['widest']}; {versions}."
    )


def network_table(cells, network):
    """All competitors at one network: medians, quartiles, ratios."""
    runs = cells.runs(network)
    rows = []
    for name in cells.competitors(network):
        line = [name]
        for task, batch in runs:
            row = cells.get(network, task, batch, name)
            if row is None:
                noted = _note(cells, network, task, batch, name)
                line.append(f"not run: {noted}" if noted else "")
                continue
            low, high = float(row["quartile_1_ms"]), float(row["quartile_3_ms"])
            ratio = times(row)
            if name == row["fastest_dense"]:
                ratio = f"**{ratio}**"
            line.append(f"{ratio}, {float(row['median_ms']):.4g} ms ({low:.4g} to {high:.4g})")
        rows.append(line)
    heads = [f"{PASS_NAMES[task]}, batch {batch}" for task, batch in runs]
    return table([network, *heads], rows)


def _note(cells, network, task, batch, name):
    for row in cells.rows:
        key = (row["network"], row["pass"], int(row["batch"]), row["competitor"])
        if key == (network, task, batch, name):
            return row["note"]
    return ""


def does_not_pay(cells):
    """Lists of where SSC is slower: than the fastest dense, than a thinner dense."""
    slower, thinner, compared = [], 0, 0
    for network in cells.networks:
        for task, batch in cells.runs(network):
            thin = cells.get(network, task, batch, f"thinner dense{AS_USED[task]}")
            for setting in settings(network):
                row = cells.ssc(network, task, batch, setting)
                if row and float(row["times_as_fast"] or 1) < 1:
                    what = f"{network} {setting}, {PASS_NAMES[task]}, batch {batch}"
                    slower.append(f"- {what}: {times(row)} of {row['fastest_dense']}")
            row = cells.ssc(network, task, batch, settings(network)[0])
            if row and thin:
                compared += 1
                thinner += float(thin["median_ms"]) < float(row["median_ms"])
    lines = ["Slower than the fastest dense of the run:", "", *(slower or ["- nowhere"]), ""]
    lines.append(
        f"A thinner dense network of as many weights is faster than SSC in {thinner} of "
        f"{compared} comparisons (first setting of each network): what SSC keeps is the width."
    )
    return "\n".join(lines)


def layer_table(rows):
    """Every distinct layer against a plain Conv2D."""
    heads = ["network", "layer", "(g, p), stride", "batch", "computed as", "pass", "Conv2D, ms",
             "SSC, ms", "times as fast", "as our dense form"]  # fmt: skip
    lines = [
        [
            f"{row['network']} {row['setting']}",
            row["layer"],
            f"({row['g']}, {row['p']}), {row['strides']}",
            row["batch"],
            row["used"],
            row["pass"],
            row["conv2d_ms"],
            row["auto_ms"],
            f"{float(row['times_as_fast_as_conv2d']):.2f}x",
            f"{float(row['times_as_fast_as_dense']):.2f}x",
        ]
        for row in rows
    ]
    slower = sum(float(row["times_as_fast_as_conv2d"]) < 1 for row in rows)
    return f"Slower than Conv2D: {slower} of {len(rows)} rows.\n\n{table(heads, lines)}"


def gpu_table(rows):
    """Training steps on a GPU, of the file that `gpu.py` wrote."""
    steps = [row for row in rows if row["task"] == "training step" or row["kind"].endswith("step")]
    lines = [
        [
            row["network"],
            row["layer"] or row["form"],
            row["batch"],
            f"{float(row['median_ms']):.1f}",
            f"{float(row['times_as_fast_as_dense']):.2f}x" if row["times_as_fast_as_dense"] else "",
        ]
        for row in steps
    ]
    heads = ["network", "computed as", "batch", "training step, ms", "times as fast as dense"]
    return f"{rows[0]['device']}:\n\n{table(heads, lines)}"


def page(folder):
    """The text of docs/performance.md."""
    parts = [INTRODUCTION]
    for path in sorted(folder.glob("networks-*.csv")):
        cells = Cells.of(path)
        parts += [f"## {_title(path)}", machine_line(cells.rows[0]), _link(path)]
        parts += [network_table(cells, network) for network in cells.networks]
        parts += ["### Where SSC does not pay here", does_not_pay(cells)]
    for path in sorted(folder.glob("auto-*.csv")):
        rows = results.read(path)
        parts += [f"## Layer by layer: {_title(path)}", machine_line(rows[0]), _link(path)]
        parts.append(layer_table(rows))
    parts.append("## On a GPU")
    parts.append(FORMS)
    for path in sorted(folder.glob("gpu-nvidia-*.csv")):
        parts += [gpu_table(results.read(path)), _link(path)]
    parts += [HOW, BEFORE]
    return "\n\n".join(parts) + "\n"


def _title(path):
    return path.stem.split("-", 1)[1].replace("-", " ")


def _link(path):
    return f"[{path.name}](../benchmarks/results/{path.name})"


def readme_table(path):
    """The README's section: sizes, and the ratios of the largest batch and of one image."""
    cells = Cells.of(path)
    rows = []
    for network in SIX:
        most = max(batches(network))
        for setting in settings(network):
            plain, optimized = f"SSC {setting}", f"SSC {setting}{AS_USED[INFER]}"
            asked = [(INFER, batch, name) for batch in (most, 1) for name in (plain, optimized)]
            found = [cells.get(network, *run) for run in (*asked, (TRAIN, most, plain))]
            size = _share_of_parameters(cells, network, most, plain)
            rows.append([network, setting, size, most, *map(times, found)])
    heads = ["network", "sparsity or (g, p)", "parameters, of dense", "batch", "`predict`"]
    heads += ["optimized", "one image, `predict`", "one image, optimized", "training step"]
    return f"{machine_line(cells.rows[0])}\n\n{table(heads, rows)}"


def _share_of_parameters(cells, network, batch, competitor):
    """As `0.19 M, 10 %`."""
    dense = cells.get(network, INFER, batch, DENSE)
    sparse = cells.get(network, INFER, batch, competitor)
    if not (dense and sparse):
        return "not run"
    live = int(sparse["parameters"])
    return f"{live / 1e6:.2f} M, {live / int(dense['parameters']):.0%}"


def main():
    """Write all three."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("readme", type=Path, help="results that the README shows")
    arguments = parser.parse_args()
    path = arguments.readme.resolve()
    name = path.relative_to(ROOT).as_posix()
    text = README.read_text(encoding="utf-8")
    README.write_text(
        with_section(text, MAKER, readme_table(path), f" from {name}"), encoding="utf-8"
    )
    PAGE.write_text(page(results.FOLDER), encoding="utf-8")
    draw(Cells.of(path), PICTURE)


if __name__ == "__main__":
    main()
