"""Every network of the paper at its sparsities: weights, multiply-adds, bytes in every format.

python benchmarks/export_table.py --csv benchmarks/results/export-table.csv
"""

import argparse
import csv
import os
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path.append(str(Path(__file__).resolve().parents[1]))  # `paper` is in no wheel

from export_sizes import lively

COMPACT = ("MobileNetV2", "ShuffleNetV2")
DATA_SETS = ("cifar10", "imagenet")


def settings():
    """Yield (name, asked sparsity or None, model) of tables 1, 3, 4 and 5."""
    from keras_ssc import applications
    from paper.pattern_settings import CELLS

    for cell in CELLS:
        if cell.dataset in DATA_SETS:
            yield cell.name, cell.sparsity, getattr(applications, cell.network)(**cell.arguments)
    for network in COMPACT:
        yield f"{network}-cifar10-default", None, getattr(applications, network)()


def row_of(name, asked, model, formats):
    """Export one model in all formats; return its row."""
    import keras_ssc

    counted = keras_ssc.summary(model)
    row = {
        "setting": name,
        "asked": "" if asked is None else asked,
        "network_sparsity": round(counted.network_sparsity, 4),
        "layer_sparsity": round(counted.layer_sparsity, 4),
        "trainable": counted.totals["trainable_parameters"],
        "macs": counted.macs,
    }
    for form in formats:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"model{formats[form].SUFFIX}"
            report = keras_ssc.export(model, path, form)
        row[f"{form}_bytes"] = report.bytes
        row[f"{form}_difference"] = f"{report.largest_difference:.1e}"
    return row


def main():
    """Export all, print and save as rows come."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--csv", type=Path, required=True)
    arguments = parser.parse_args()
    from keras_ssc.export._export import FORMATS

    formats = {name: form for name, form in FORMATS.items() if all(map(find_spec, form.PACKAGES))}
    print(
        "formats:", ", ".join(formats), "| not installed:", ", ".join(set(FORMATS) - set(formats))
    )
    rows = []
    for name, asked, model in settings():
        rows.append(row_of(name, asked, lively(model), formats))
        print("  ".join(f"{key}={value}" for key, value in rows[-1].items()), flush=True)
        with open(arguments.csv, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
