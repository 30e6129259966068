"""The fastest plans of some layers, where all of them were timed: by benchmarks/gpu_plans.py."""

import csv
import functools
from pathlib import Path

from keras_ssc.native.gpu.availability import layer_key

TABLE = Path(__file__).with_name("tuned.csv")
KEY = (
    *("card", "dtype", "batch", "pass", "in_channels", "filters", "kernel_size", "g", "p"),
    *("shift", "parity", "dense_taps", "set_offset", "strides", "map"),
)
NUMBERS = (
    *("columns", "parts", "stages", "along_pixels", "along_jobs", "rows", "steps", "warps"),
    *("results", "tile_images", "tile_rows", "tile_columns", "at_a_time"),
)


def numbers_of(pattern, strides, sizes, dtype, which, batch):
    """Return the numbers of the plan that was the fastest for a pass, or None: not measured.

    What is best on one card is taken on others too, as costs.py was fitted on one; but for no other
    batch: with few images other tiles are better.

    Args:
        pattern, strides, sizes: as for `availability.why_not_by_itself`.
        dtype: str.
        which: `"forward"`, `"by_input"` or `"by_weights"`.
        batch: int, images.
    """
    asked = {"dtype": dtype, "pass": which, "batch": batch}
    return _numbers().get(_key(asked | layer_key(pattern, strides, sizes)))


def row_of(card, batch, pattern, strides, sizes, dtype, which, numbers):
    """Return a row of the table: dict. `numbers`: dict of ints."""
    key = {"card": card, "dtype": dtype, "batch": batch, "pass": which}
    return key | layer_key(pattern, strides, sizes) | numbers


def write(rows):
    """Write the table."""
    with TABLE.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, (*KEY, *NUMBERS), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    _numbers.cache_clear()


def _key(row):
    return tuple(str(row[name]) for name in KEY if name != "card")


@functools.cache
def _numbers():
    with TABLE.open(newline="", encoding="utf-8") as file:
        return {
            _key(row): {name: int(row[name]) for name in NUMBERS if row[name]}
            for row in csv.DictReader(file)
        }
