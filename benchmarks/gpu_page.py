"""Make the tables of docs/gpu.md and its picture from the results: no number by hand.

python benchmarks/gpu_page.py
"""

from pathlib import Path

import matplotlib

from common import results
from common.sections import table, with_section

ROOT = Path(__file__).parents[1]
PAGE, PICTURE = ROOT / "docs/gpu.md", ROOT / "docs/gpu.png"
MAKER = "benchmarks/gpu_page.py"
PASSES = ("forward", "by_input", "by_weights")
TASKS = {"forward": "forward", "forward and gradients": "with gradients"}


def name_of(row):
    """A layer in a few characters."""
    stride = "" if row["stride"] == "1" else f", stride {row['stride']}"
    return f"{row['channels']} to {row['filters']} @ {row['side']}{stride}"


def grouped(rows, *columns):
    """{values of some columns: their rows}."""
    found = {}
    for row in rows:
        found.setdefault(tuple(row[column] for column in columns), []).append(row)
    return found


def kernel_ratios(rows):
    """{layer: (ratios of the passes, ratio of their sums)}, of the file of gpu_plans.py."""
    found = {}
    for own in grouped(rows, "channels", "filters", "side", "stride").values():
        by_pass = {row["pass"]: row for row in own}
        dense, ours = ([float(by_pass[p][column]) for p in PASSES]
                       for column in ("dense_us", "median_us"))  # fmt: skip
        found[name_of(own[0])] = (dense, ours, sum(dense) / sum(ours))
    return found


def kernels_section(rows):
    """What the kernels alone take."""
    lines = [
        [name, *(f"{d:.1f} / {o:.1f}" for d, o in zip(dense, ours, strict=True)), f"{ratio:.2f}x"]
        for name, (dense, ours, ratio) in kernel_ratios(rows).items()
    ]
    plans = sum(int(row["plans"]) for row in rows)
    head = ["channels @ map", "forward, µs", "gradient by input, µs", "gradient by weights, µs"]
    return (
        f"{rows[0]['card']}, batch {rows[0]['batch']}, {rows[0]['dtype']}, 3x3, (g, p) = "
        f"({rows[0]['g']}, {rows[0]['p']}): cuDNN's dense convolution / our kernel, device times. "
        f"The fastest of {plans} plans in all, each compared with a dense convolution.\n\n"
        + table([*head, "all three"], lines)
    )


def jax_ratios(rows):
    """{layer: {(form, task): ratio}}, of the file of gpu_check.py."""
    found = {}
    for row in rows:
        if row["kind"] == "layer" and row["form"] != "dense":
            own = found.setdefault(name_of(row), {})
            own[row["form"], row["task"]] = float(row["times_as_fast_as_dense"])
    return found


def jax_section(rows):
    """What layers take inside of JAX, with packing and permutations."""
    checked = [row for row in rows if row["kind"] == "exactness"]
    wrong = sum(int(row["wrong"]) for row in checked)
    lines = [
        [name, *(f"{own[form, task]:.2f}x" for form in ("class-major", "layer") for task in TASKS)]
        for name, own in jax_ratios(rows).items()
    ]
    heads = [f"{form}, {task}" for form in ("in order", "alone") for task in TASKS.values()]
    return (
        f"Exactness: {len(checked)} checks of values and both gradients against JAX on the CPU, "
        f"in small integers: {wrong} wrong numbers.\n\nInside of `jax.jit`, times as fast as "
        "JAX's dense convolution, weights packed anew in each call:\n\n"
        + table(["channels @ map", *heads], lines)
    )


def networks_section(rows):
    """Whole networks, and where the device's time goes."""
    parts = []
    times = [row for row in rows if row["median_ms"]]
    lines = []
    for (network, task), own in grouped(times, "network", "task").items():
        by_form = {row["form"]: row for row in own}
        dense, ours = (float(by_form[form]["median_ms"]) for form in ("dense", "native"))
        lines.append([network, task, f"{dense:.2f}", f"{ours:.2f}", f"{dense / ours:.2f}x"])
    parts.append(
        "A program is a loop over many steps, so that none waits for Python. Each step packs the "
        "sparse layers' weights, and brings the dense ones into bfloat16."
    )
    parts.append(table(["network", "task", "dense, ms", "SSC, ms", "times as fast"], lines))
    kinds = grouped([row for row in rows if row["kind"]], "network", "task")
    for (network, task), own in kinds.items():
        names = dict.fromkeys(row["kind"] for row in own)
        cells = {(row["form"], row["kind"]): row for row in own}
        lines = [[name, *(_device_time(cells.get((form, name))) for form in ("dense", "native"))]
                 for name in names]  # fmt: skip
        heads = ["kernels", "dense, ms (launches)", "SSC, ms (launches)"]
        parts.append(f"Device time of a step, {network}, {task}:\n\n{table(heads, lines)}")
    return "\n\n".join(parts)


def programs_section(rows):
    """What the programs of today consist of."""
    lines = []
    for (network, task), own in grouped(rows, "network", "task").items():
        line = [network, task]
        for form in ("dense", "native"):
            found = [row for row in own if row["form"] == form]
            ours = [row for row in found if row["kind"] != "XLA's own"]
            for part in (found, ours):
                count = sum(int(row["launches"]) for row in part)
                moved = sum(float(row["megabytes"]) for row in part)
                line.append(f"{count}, {moved / 1e3:.2f} GB")
        lines.append(line)
    heads = [f"{form}, {part}" for form in ("dense", "SSC") for part in ("all", "convolutions")]
    return (
        "**Since then** normalisation, pooling, packing and the order of channels take fewer "
        "passes and launches; that was not timed. What a step consists of today: launches of "
        "kernels, and gigabytes that they read and write, in the program that XLA "
        f"(JAX {rows[0]['jax']}) compiles for this "
        f"card, batch {rows[0]['batch']}, bfloat16. Counted, not run; what lies in the card's "
        "cache counts too.\n\n" + table(["network", "task", *heads], lines)
    )


def _device_time(row):
    return f"{float(row['device_ms']):.2f} ({float(row['launches']):.0f})" if row else "-"


def draw(kernels, layers, path):
    """Bars: the kernels alone, and layers in JAX with the order kept and alone."""
    matplotlib.use("agg")
    from matplotlib import pyplot

    alone, inside = kernel_ratios(kernels), jax_ratios(layers)
    names = [name for name in alone if name in inside]
    bars = {
        "the kernels alone": [alone[name][2] for name in names],
        "in JAX, order kept": [inside[n]["class-major", "forward and gradients"] for n in names],
        "in JAX, a lone layer": [inside[n]["layer", "forward and gradients"] for n in names],
    }
    figure, axes = pyplot.subplots(figsize=(8, 3.2), layout="constrained")
    for number, (label, values) in enumerate(bars.items()):
        places = [place + (number - 1) * 0.27 for place in range(len(names))]
        axes.bar(places, values, 0.25, label=label)
    axes.axhline(1, color="black", linewidth=0.8)
    axes.set_xticks(range(len(names)), [name.replace(" @", "\n@") for name in names], fontsize=8)
    axes.set_ylabel("times as fast as dense")
    axes.set_title(f"{kernels[0]['card']}: forward and both gradients, bfloat16", fontsize=10)
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def files():
    """The files of results."""
    names = ("gpu-plans", "gpu-kernels", "gpu-networks", "gpu-programs")
    return [min(results.FOLDER.glob(f"{name}-*.csv")) for name in names]


def section():
    """All tables of the page."""
    plans, kernels, networks, programs = map(results.read, files())
    links = ", ".join(f"[{f.name}](../benchmarks/results/{f.name})" for f in files())
    parts = [kernels_section(plans), jax_section(kernels), networks_section(networks)]
    parts += [programs_section(programs), links]
    return "\n\n".join(parts)


def main():
    """Write both."""
    text = with_section(PAGE.read_text(encoding="utf-8"), MAKER, section())
    PAGE.write_text(text, encoding="utf-8")
    draw(*map(results.read, files()[:2]), PICTURE)


if __name__ == "__main__":
    main()
