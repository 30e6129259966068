"""Bytes and times of exported networks beside their dense counterparts, as a table and a CSV file.

python benchmarks/export_sizes.py --model VGG19 ResNet32 --sparsity 0.9 --csv export_sizes.csv
"""

import argparse
import csv
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")


def parse():
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--model", nargs="+", default=["ResNet32"], help="builders of keras_ssc.applications")
    add("--sparsity", type=float, default=0.9, help="network sparsity")
    add("--format", nargs="+", help="default: every format whose packages are there")
    add("--batch", nargs="+", type=int, default=[1, 32], help="images a call")
    add("--rounds", type=int, default=15, help="calls timed, dense and sparse in turn")
    add("--csv", type=Path, help="file for the table")
    return parser.parse_args()


def measure(builder, sparsity, format, batches, rounds, folder):
    """Return the rows of one network in one format: list of dicts."""
    import numpy as np

    from keras_ssc import export
    from keras_ssc.export._export import FORMATS

    calls, reports = {}, {}
    for name, wanted in (("dense", 0.0), ("sparse", sparsity)):
        model = lively(builder(sparsity=wanted))
        path = folder / f"{name}{FORMATS[format].SUFFIX}"
        reports[name] = export(model, path, format, overwrite=True)
        start = time.perf_counter()
        calls[name] = FORMATS[format].load(path)
        calls[name]([np.zeros((1, *model.input_shape[1:]), "float32")])
        print(f"  {name}: first call after {time.perf_counter() - start:.2f} s", file=sys.stderr)
    rows = []
    for batch in batches:
        images = np.random.default_rng(0).normal(size=(batch, *model.input_shape[1:]))
        seconds = in_turn(calls, [images.astype("float32")], rounds)
        rows.append(
            {
                "model": builder.__name__,
                "format": format,
                "dense_bytes": reports["dense"].bytes,
                "sparse_bytes": reports["sparse"].bytes,
                "bytes_percent": round(100 * reports["sparse"].bytes / reports["dense"].bytes, 1),
                "difference": f"{reports['sparse'].largest_difference:.1e}",
                "batch": batch,
                "dense_ms": round(1e3 * seconds["dense"], 2),
                "sparse_ms": round(1e3 * seconds["sparse"], 2),
                "speedup": round(seconds["dense"] / seconds["sparse"], 2),
            }
        )
    return rows


def lively(model):
    """Return `model` with BatchNormalization statistics and offsets that are not 0 and 1."""
    import numpy as np

    random = np.random.default_rng(0)
    for layer in model.layers:
        if hasattr(layer, "moving_variance"):
            layer.moving_mean.assign(random.normal(0, 0.1, layer.moving_mean.shape))
            layer.moving_variance.assign(random.uniform(0.5, 1.5, layer.moving_mean.shape))
            layer.beta.assign(random.normal(0, 0.1, layer.moving_mean.shape))
    return model


def in_turn(calls, inputs, rounds):
    """Return the median seconds of each call, all called in turn."""
    seconds = {name: [] for name in calls}
    for round_ in range(rounds + 2):
        for name, call in calls.items():
            start = time.perf_counter()
            call(inputs)
            if round_ >= 2:
                seconds[name].append(time.perf_counter() - start)
    return {name: sorted(values)[len(values) // 2] for name, values in seconds.items()}


def main():
    """Measure, print, write."""
    arguments = parse()
    from importlib.util import find_spec

    import keras_ssc
    from keras_ssc.export._export import FORMATS

    there = [name for name, form in FORMATS.items() if all(map(find_spec, form.PACKAGES))]
    rows = []
    for model in arguments.model:
        builder = getattr(keras_ssc.applications, model)
        for format in arguments.format or there:
            with tempfile.TemporaryDirectory() as folder:
                measured = measure(
                    builder,
                    arguments.sparsity,
                    format,
                    arguments.batch,
                    arguments.rounds,
                    Path(folder),
                )
            rows += measured
            for row in measured:
                print("  ".join(f"{key}={value}" for key, value in row.items()), flush=True)
    if arguments.csv:
        with open(arguments.csv, "w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
