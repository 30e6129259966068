"""How a layer computes, why, and how fast that is beside a Conv2D of the same size."""

import csv
import functools
from pathlib import Path

import keras

from keras_ssc.execution._choose import choose
from keras_ssc.native import accelerator, compiled_by_xla, why_not_native
from keras_ssc.patterns import SSCPattern

# Written by `benchmarks/forms.py --table` from benchmarks/results/forms-*.csv.
MEASURED = Path(__file__).with_name("measured_layers.csv")
# The most that a layer may differ from a measured one for an estimate, in width and in density.
FACTOR = 2


def execution_report(execution, pattern, *, strides, padding, sizes, dtype):
    """Return what `SSCConv2D.execution_report` gives. Arguments as for `choose`."""
    settings = {"strides": strides, "padding": padding, "sizes": sizes}
    used, why = choose(execution, pattern, dtype=dtype, **settings)
    return {
        "asked": execution,
        "used": used,
        "why": why,
        "why_not_native": why_not_native(pattern, dtype),
        **against_dense(pattern, used, dtype, **settings),
    }


def against_dense(pattern, form, dtype, *, strides=(1, 1), padding="same", sizes=(None, None)):
    """Return how fast a form of a layer is beside a dense Conv2D of its size.

    Args:
        pattern: SSCPattern.
        form: str, the form that computes.
        dtype: str.
        strides, padding, sizes: as for `choose`.

    Returns:
        dict with `"speed_source"`: `"measured"`, `"estimate"` or `"unknown"`;
        `"inference_speed"` and `"training_speed"` (forward and both gradients): time of Conv2D /
        time of the layer, None where unknown; and `"speed_basis"`: what was measured, and where.

        A layer is measured where its pattern and its map are those of a layer in the table. An
        estimate follows the measured layer of the same form and class (kernel size, rule of
        shifts, point-wise or not, q a power of two or not) that is nearest in width and density,
        each within a factor of two: a native layer is faster by as much as it has fewer
        multiply-adds, a dense one has as many as Conv2D. Of grouped and gathered layers there is
        no estimate. Other processors and numbers of cores give other numbers.

    Example:

    >>> against_dense(SSCPattern(64, 48, 5), "gather", "float16")["speed_source"]
    'unknown'
    """
    rows = [
        row
        for row in measured_layers()
        if (row["how"], row["dtype"], row["form"]) == (_where(), dtype, form)
    ]
    same_geometry = strides == (1, 1) and padding == "same"
    for row in rows:
        if same_geometry and row["pattern"] == pattern and set(sizes) == {row["side"]}:
            return _found("measured", row, 1.0)
    near = [row for row in rows if _difference(pattern, row["pattern"]) <= FACTOR]
    if form not in ("native", "dense") or not near:
        basis = f"no layer like it was measured as {form} in {dtype} on {_where()}"
        return {
            "speed_source": "unknown", "inference_speed": None, "training_speed": None,
            "speed_basis": basis,
        }  # fmt: skip
    row = min(near, key=lambda row: _difference(pattern, row["pattern"]))
    scale = row["pattern"].density / pattern.density if form == "native" else 1.0
    return _found("estimate", row, scale)


@functools.cache
def measured_layers():
    """Return the table: tuple of dicts with how, dtype, form, pattern, side, inference, training.

    Example:

    >>> sorted({row["form"] for row in measured_layers()})
    ['dense', 'grouped', 'native']
    """
    with MEASURED.open(newline="", encoding="utf-8") as file:
        return tuple(_parsed(row) for row in csv.DictReader(file))


def _parsed(row):
    numbers = (int(row[name]) for name in ("in_channels", "filters", "kernel_size", "g", "p"))
    return row | {
        "pattern": SSCPattern(*numbers),
        "side": int(row["side"]),
        "inference": float(row["inference"]),
        "training": float(row["training"]),
    }


def _found(source, row, scale):
    pattern, side = row["pattern"], row["side"]
    layer = (
        f"{pattern.in_channels}->{pattern.filters} ({pattern.g}, {pattern.p}) on maps of "
        f"{side}x{side}, batch {row['batch']}; {row['measured_on']}"
    )
    basis = f"measured: {layer}"
    if source == "estimate":
        by = "by the multiply-adds" if scale != 1.0 else "unchanged"
        basis = f"estimate, {by}, from the nearest measured layer: {layer}"
    return {
        "speed_source": source,
        "inference_speed": round(row["inference"] * scale, 1),
        "training_speed": round(row["training"] * scale, 1),
        "speed_basis": basis,
    }


def _where():
    """What computes here, in the words of the table."""
    if device := accelerator():
        return str(device)
    if keras.backend.backend() == "tensorflow" and compiled_by_xla():
        return "tensorflow, XLA"
    return keras.backend.backend()


def _class(pattern):
    """What a layer must share with a measured one to be estimated from it."""
    q_is_a_power_of_two = pattern.q & (pattern.q - 1) == 0
    rules = (pattern.shift, pattern.parity, pattern.dense_taps, pattern.set_offset)
    return pattern.kernel_size, pattern.g == 0, q_is_a_power_of_two, rules


def _difference(pattern, other):
    """The factor by which two patterns differ, in width or in density."""
    if _class(pattern) != _class(other):
        return float("inf")
    width = (pattern.in_channels * pattern.filters / (other.in_channels * other.filters)) ** 0.5
    density = pattern.density / other.density
    return max(width, 1 / width, density, 1 / density)
