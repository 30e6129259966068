"""Where the GPU's kernels can't go, and where they are not known to be faster."""

import csv
import functools
from pathlib import Path

# Written by benchmarks/gpu_check.py, a row for each layer and card.
MEASURED = Path(__file__).with_name("measured.csv")
TASKS = ("inference", "training")
MARGIN = 1.1  # by which a layer must win that is the first in the kernels' order
IN_FULL = ("highest", "float32", "HIGHEST", "FLOAT32")


def why_not(pattern, dtype):
    """Return why the kernels can't serve on the GPU that is here, or None where they can.

    Args:
        pattern: SSCPattern.
        dtype: str, of inputs and weights.
    """
    import jax

    from keras_ssc.native.gpu import lowering, passes

    if dtype not in passes.DTYPES:
        return f"the GPU's kernels compute in bfloat16 and float32, not {dtype}"
    if dtype == "float32" and jax.config.jax_default_matmul_precision in IN_FULL:
        return "the GPU's kernels multiply float32 as tf32, and full precision is asked for"
    if pattern.in_channels % 8 or pattern.filters % 8:
        return (
            "the GPU's kernels need channels and filters in eights "
            f"(here {pattern.in_channels}, {pattern.filters})"
        )
    return lowering.find()[1]


def why_not_by_itself(pattern, dtype, strides, sizes, in_order=False):
    """Return why `"auto"` leaves the kernels alone: they were not measured as faster here, or None.

    A layer is measured where pattern, dtype, strides, map and the card's name are those of a row;
    faster where forward and training both took less time than a dense convolution. A layer whose
    input comes in order needs no permutation; another one permutes its input, and whether its
    result will be permuted back is not known yet: half of the time is taken with, half without, and
    it must win by a tenth, as the layer behind it may end the order.

    Args:
        pattern, dtype: as for `why_not`.
        strides, sizes: (rows, columns).
        in_order: bool, whether the channels of the input are in the kernels' order.
    """
    import jax

    card = jax.devices()[0].device_kind
    key = {"card": card, "dtype": dtype, **layer_key(pattern, strides, sizes)}
    rows = [row for row in _measured() if {name: row[name] for name in key} == key]
    if not rows:
        return f"the GPU's kernels were not measured for this layer on {card}"
    if all(_times_as_fast(row, task, in_order) > 1 for row in rows for task in TASKS):
        return None
    return f"the GPU's kernels were measured as slower than a dense convolution on {card}"


def _times_as_fast(row, task, in_order):
    kept = float(row[f"{task}_in_order"])
    return kept if in_order else 2 / (1 / kept + 1 / float(row[task])) / MARGIN


def layer_key(pattern, strides, sizes):
    """Return what names a layer in the table: dict of str. Arguments as for `why_not_by_itself`."""
    names = ("in_channels", "filters", "kernel_size", "g", "p", "shift", "parity", "dense_taps")
    layer = {name: getattr(pattern, name) for name in (*names, "set_offset")}
    return {name: str(value) for name, value in {**layer, "strides": strides, "map": sizes}.items()}


@functools.cache
def _measured():
    with MEASURED.open(newline="", encoding="utf-8") as file:
        return tuple(csv.DictReader(file))
