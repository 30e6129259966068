"""Bytes, accuracy, differences and times of exported files in 32, 16 and 8 bits, dense and sparse.

python benchmarks/export_quantized.py --data-dir DATA --csv benchmarks/results/export-quantized.csv

Rows that the file has are not measured again. A network for which the package has trained weights
is measured with them, on test images of CIFAR-10 in DATA; others are not trained, so that the
agreement of classes is that of near ties: the worst case. phone_page.py makes the page's table.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from export_sizes import lively

from common import results

NETWORKS = ("ResNet32:0", "ResNet32:0.9", "ResNet32:0.98", "MobileNetV2:0", "MobileNetV2")
MODES = {
    "litert": ("int8", "dynamic", "float16", "float32"),
    "onnx": ("int8", "float32"),
    "openvino": ("int8", "float32"),
}
SEEN = 128  # images to calibrate on


def parse():
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--model", nargs="+", default=NETWORKS, help="builders, as ResNet32:0.9 with a sparsity")
    add("--format", nargs="+", default=list(MODES), choices=MODES)
    add("--quantize", nargs="+", help="int8, dynamic, float16, float32; default: all there are")
    add("--test-images", type=int, default=2000, help="for the accuracy")
    add("--rounds", type=int, default=30, help="calls timed, of one image; the fastest counts")
    add("--data-dir", help="folder of CIFAR-10, as for keras-ssc train")
    add("--csv", type=Path, required=True, help="file for the table; resumes")
    return parser.parse_args()


def network(name):
    """Return (model, whether it is trained on CIFAR-10)."""
    from keras_ssc import applications

    builder, _, sparsity = name.partition(":")
    options = {"sparsity": float(sparsity)} if sparsity else {}
    try:
        return getattr(applications, builder)(weights="cifar10", **options), True
    except ValueError:  # there are none
        return lively(getattr(applications, builder)(**options)), False


def images_for(model, trained, arguments):
    """Return (images to calibrate on, test images, their labels); without labels if not trained."""
    import numpy as np

    if not trained:
        count = SEEN if model.input_shape[1] < 64 else 16
        shape = (count, *model.input_shape[1:])
        return np.random.default_rng(0).normal(size=shape).astype("float32"), None, None
    from keras_ssc import datasets

    data = datasets.load("cifar10", arguments.data_dir)
    common = {"mean": data.mean, "std": data.std, "classes": data.classes}
    count = arguments.test_images
    seen = datasets.Batches(data.x_train[:SEEN], data.y_train[:SEEN], SEEN, **common)
    test = datasets.Batches(data.x_test[:count], data.y_test[:count], count, **common)
    return seen[0][0], *test[0]


def row_of(name, form, quantize, arguments):
    """Export one network in one way; return its row."""
    import keras_ssc
    from keras_ssc.export._export import FORMATS

    model, trained = network(name)
    seen, images, labels = images_for(model, trained, arguments)
    with tempfile.TemporaryDirectory() as folder:
        report = keras_ssc.export(
            model,
            Path(folder) / f"model{FORMATS[form].SUFFIX}",
            form,
            quantize=None if quantize == "float32" else quantize,
            calibration=seen,
            tolerance=1.0,
        )
        call, seconds, right = FORMATS[form].load(report.path), [], 0
        for _ in range(arguments.rounds):
            start = time.perf_counter()
            call([seen[:1]])
            seconds.append(time.perf_counter() - start)
        for first in range(0, 0 if labels is None else len(labels), 100):
            scores = call([images[first : first + 100]])[0]
            right += int((scores.argmax(1) == labels[first : first + 100]).sum())
    return {
        "network": name,
        "sparsity": f"{keras_ssc.summary(model).network_sparsity:.4f}",
        "trained": "yes" if trained else "no",
        "format": form,
        "quantize": quantize,
        "bytes": report.bytes,
        "accuracy": f"{right / len(labels):.4f}" if trained else "",
        "test_images": len(labels) if trained else "",
        "largest_difference": f"{report.largest_difference:.1e}",
        "mean_difference": f"{report.mean_difference:.1e}",
        "agreement": round(report.agreement, 3),
        "ms": round(1e3 * min(seconds), 2),
    }


def main():
    """Export all that the file has not yet, print and save as rows come."""
    arguments = parse()
    rows = {_key(row): row for row in results.read(arguments.csv)}
    for name in arguments.model:
        trained = network(name)[1]
        for form in arguments.format:
            for quantize in arguments.quantize or MODES[form]:
                key = (name, form, quantize)
                if quantize not in MODES[form] or (
                    key in rows and rows[key].get("trained") == ("yes" if trained else "no")
                ):
                    continue
                rows[key] = row_of(name, form, quantize, arguments)
                print("  ".join(f"{k}={value}" for k, value in rows[key].items()), flush=True)
                results.save(list(rows.values()), arguments.csv, None)


def _key(row):
    return row["network"], row["format"], row["quantize"]


if __name__ == "__main__":
    main()
