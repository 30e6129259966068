"""Networks of keras.applications as they are, and as `sparsify` makes them, in turns.

python benchmarks/sparsified.py --networks ResNet50 VGG16 MobileNetV2
KERAS_BACKEND=jax python benchmarks/sparsified.py --csv sparsified-jax.csv
python benchmarks/sparsified.py --page      # only write the table of docs/your-own-model.md

A training step (`train_on_batch`) and inference (`predict_on_batch`) of the dense network, of the
sparse one with Keras's own layers between its convolutions, and of what `sparsify` returns; in
inference also of the dense one and the last after `optimize_for_inference`.
"""

import argparse
import os
from pathlib import Path

# Every competitor gets oneDNN, also where TensorFlow would leave it off.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from common import machine, results
from common.sections import table, with_section
from common.timing import interleaved, statistics

NETWORKS = ("ResNet50", "ResNet50V2", "VGG16", "MobileNetV2")
DENSE, PLAIN, OURS = "dense", "sparse, Keras's layers between", "sparsify"
OPTIMIZED = {DENSE: "dense, optimized", OURS: "sparsify, optimized"}
TASKS = {"train": "training step", "infer": "inference"}
PAGE = Path(__file__).parents[1] / "docs/your-own-model.md"
MAKER = "benchmarks/sparsified.py"


def models_of(network, sparsity, side):
    """{name: model}: dense, with Keras's layers, and as `sparsify` makes it."""
    import keras

    import keras_ssc
    from keras_ssc.layers.channel_wise import keras_class
    from keras_ssc.model_copy import copy_graph

    keras.utils.set_random_seed(0)
    build = getattr(keras.applications, network)
    dense = build(weights=None, input_shape=(side, side, 3), classes=100)
    sparse = keras_ssc.sparsify(dense, sparsity)
    plain, _ = copy_graph(sparse, kind=keras_class)
    return {DENSE: dense, PLAIN: plain, OURS: sparse}


def steps_of(models, task, batch, side):
    """{name: callable} for one task; in inference with the optimized networks."""
    import keras
    import numpy as np

    import keras_ssc

    random = np.random.default_rng(0)
    x = random.normal(size=(batch, side, side, 3)).astype("float32")
    labels = random.integers(0, 100, batch)
    if task == "infer":
        fast = {
            new: keras_ssc.optimize_for_inference(models[old]) for old, new in OPTIMIZED.items()
        }
        return {
            name: lambda own=own: own.predict_on_batch(x) for name, own in (models | fast).items()
        }
    for model in models.values():
        model.compile(keras.optimizers.SGD(0.01, momentum=0.9), "sparse_categorical_crossentropy")
    return {name: lambda own=own: own.train_on_batch(x, labels) for name, own in models.items()}


def section(rows):
    """The table of the page: milliseconds, and times as fast as the fastest dense one."""
    names = [DENSE, PLAIN, OURS, *OPTIMIZED.values()]
    found = {(row["network"], row["pass"], row["competitor"]): row for row in rows}
    lines = []
    for network, task in dict.fromkeys((row["network"], row["pass"]) for row in rows):
        cells = []
        for name in names:
            row = found.get((network, task, name))
            if row is None:
                cells.append("")
                continue
            ratio = (
                ""
                if name in (DENSE, OPTIMIZED[DENSE])
                else f" ({float(row['times_as_fast']):.2f}x)"
            )
            cells.append(f"{float(row['median_ms']):.0f}{ratio}")
        lines.append([network, TASKS[task], *cells])
    one = rows[0]
    return (
        f"{one['cpu']}, {one['threads']} threads, tensorflow {one['tensorflow']}: milliseconds, "
        f"medians, {one['batch']} images of {one['side']} pixels, {float(one['sparsity']):.0%} of "
        "the converted layers' weights removed; in brackets times as fast as the faster dense one."
        "\n\n" + table(["network", "", *names], lines)
    )


def write_page(rows):
    """Put the table into the page."""
    PAGE.write_text(with_section(PAGE.read_text(encoding="utf-8"), MAKER, section(rows)), "utf-8")


def main():
    """Parse the command line, time, print, save."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--networks", nargs="+", default=NETWORKS, choices=NETWORKS)
    parser.add_argument("--sparsity", type=float, default=0.8)
    parser.add_argument("--side", type=int, default=128, help="of the images, in pixels")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=11)
    parser.add_argument("--csv", help="file to write; default: named by the hardware")
    parser.add_argument("--page", action="store_true", help="only write the page, from the results")
    arguments = parser.parse_args()
    path = results.FOLDER / f"sparsified-{machine.hardware_name()}.csv"
    if arguments.page:
        write_page(results.read(arguments.csv or path))
        return
    rows = []
    for network in arguments.networks:
        models = models_of(network, arguments.sparsity, arguments.side)
        for task in TASKS:
            steps = steps_of(models, task, arguments.batch, arguments.side)
            taken = interleaved(steps, arguments.repeats)
            common = machine.describe() | {
                "network": network, "sparsity": arguments.sparsity, "side": arguments.side,
                "batch": arguments.batch, "pass": task,
            }  # fmt: skip
            found = results.against_fastest_dense(
                [
                    common
                    | {"competitor": name, "kind": "dense" if name.startswith(DENSE) else "ssc"}
                    | statistics(seconds)
                    for name, seconds in taken.items()
                ]
            )
            rows += found
            print(f"\n{network}, {task}")
            results.print_table(found)
            results.save(rows, arguments.csv, "sparsified")


if __name__ == "__main__":
    main()
