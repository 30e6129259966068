"""Bytes, differences and times of LiteRT files in 32, 16 and 8 bits, dense and sparse.

python benchmarks/export_quantized.py --csv benchmarks/results/export-quantized.csv

The networks are not trained, so the agreement of classes is that of near ties: the worst case.
"""

import argparse
import csv
import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from export_sizes import lively

NETWORKS = ("ResNet32:0", "ResNet32:0.9", "ResNet32:0.98", "MobileNetV2:0", "MobileNetV2")
MODES = ("int8", "float32", "float16", "dynamic")


def parse():
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--model", nargs="+", default=NETWORKS, help="builders, as ResNet32:0.9 with a sparsity")
    add("--quantize", nargs="+", default=MODES, help="int8, float32, float16, dynamic")
    add("--format", default="litert", help="litert, onnx or openvino")
    add("--images", type=int, default=64, help="random images to calibrate and compare on")
    add("--rounds", type=int, default=30, help="calls timed, of one image; the fastest counts")
    add("--csv", type=Path, required=True, help="file for the table")
    return parser.parse_args()


def row_of(name, model, quantize, arguments):
    """Export one network in one way; return its row."""
    import numpy as np

    import keras_ssc
    from keras_ssc.export._export import FORMATS

    form = FORMATS[arguments.format]
    shape = (arguments.images, *model.input_shape[1:])
    images = np.random.default_rng(0).normal(size=shape).astype("float32")
    with tempfile.TemporaryDirectory() as folder:
        report = keras_ssc.export(
            model,
            Path(folder) / f"model{form.SUFFIX}",
            arguments.format,
            quantize=None if quantize == "float32" else quantize,
            calibration=images,
            tolerance=1.0,
        )
        call, seconds = form.load(report.path), []
        for _ in range(arguments.rounds):
            start = time.perf_counter()
            call([images[:1]])
            seconds.append(time.perf_counter() - start)
    return {
        "network": name,
        "format": arguments.format,
        "quantize": quantize,
        "bytes": report.bytes,
        "largest_difference": f"{report.largest_difference:.1e}",
        "mean_difference": f"{report.mean_difference:.1e}",
        "agreement": round(report.agreement, 3),
        "ms": round(1e3 * min(seconds), 2),
    }


def main():
    """Export all, print and save as rows come."""
    arguments = parse()
    import keras_ssc

    rows = []
    for quantize in arguments.quantize:
        for name in arguments.model:
            builder, _, sparsity = name.partition(":")
            options = {"sparsity": float(sparsity)} if sparsity else {}
            model = lively(getattr(keras_ssc.applications, builder)(**options))
            rows.append(row_of(name, model, quantize, arguments))
            print("  ".join(f"{key}={value}" for key, value in rows[-1].items()), flush=True)
            with open(arguments.csv, "w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, rows[0])
                writer.writeheader()
                writer.writerows(rows)


if __name__ == "__main__":
    main()
