"""Which form computes a layer here: what was asked for, or what measurement says is faster."""

import keras

from keras_ssc.execution._gather import why_not_gather
from keras_ssc.execution._grouped import why_not_grouped
from keras_ssc.native import why_not_native

EXECUTIONS = ("auto", "dense", "grouped", "gather", "native")


def choose(execution, pattern, *, strides, padding, sizes, dtype="float32"):
    """Return (form, why): the form that will compute, and the reason in words.

    `execution` is a wish for speed, never a restriction: a form that can't serve a setting gives
    way to `"dense"`, which serves all.

    Args:
        execution: one of `EXECUTIONS`.
        pattern: SSCPattern.
        strides: (rows, columns).
        padding: `"same"` or `"valid"`.
        sizes: (height, width) of the input, None where unknown.
        dtype: str, of inputs and weights.
    """
    if execution == "dense":
        return "dense", "asked for"
    if execution in ("native", "auto"):
        obstacle = why_not_native(pattern, dtype)
        if not obstacle:
            return "native", "asked for" if execution == "native" else "fastest where it can go"
        if execution == "native":
            return "dense", obstacle
        form, why = _library_form(execution, pattern, strides, padding, sizes)
        return form, f"{obstacle}; {form}: {why}"
    return _library_form(execution, pattern, strides, padding, sizes)


def _library_form(execution, pattern, strides, padding, sizes):
    why_not = why_not_gather if execution == "gather" else why_not_grouped
    obstacle = why_not(pattern, strides=strides, padding=padding, sizes=sizes)
    if obstacle:
        return "dense", obstacle
    if execution != "auto":
        return execution, "asked for"
    return _measured(pattern)


def _measured(pattern):
    """The rule for `"auto"`, as measured on a CPU: small groups cost more than they save."""
    width = min(pattern.in_channels, pattern.filters)
    per_group = pattern.in_channels // pattern.g
    if keras.backend.backend() != "tensorflow":
        return "dense", "measured for TensorFlow on CPU only; elsewhere dense is the safe choice"
    if width >= 128 and per_group >= 8:
        return "grouped", f"faster from 128 channels and 8 a group on (here {width}, {per_group})"
    return "dense", f"faster below 128 channels or 8 a group (here {width}, {per_group})"
