"""Which form computes a layer here: what was asked for, or what measurement says is faster."""

import keras

from keras_ssc.execution._gather import why_not_gather
from keras_ssc.execution._grouped import in_one_operation, why_not_grouped
from keras_ssc.native import accelerator, why_not_native, why_not_native_by_itself

EXECUTIONS = ("auto", "dense", "grouped", "gather", "native")


def choose(execution, pattern, *, strides, padding, sizes, dtype="float32", in_order=False):
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
        in_order: bool, whether the channels of the input are in the order of the GPU's kernels.
    """
    if execution == "dense":
        return "dense", "asked for"
    if execution in ("native", "auto"):
        obstacle = None
        if execution == "auto":
            obstacle = why_not_native_by_itself(pattern, dtype, strides, sizes, in_order)
        obstacle = obstacle or why_not_native(pattern, dtype)
        if not obstacle:
            return "native", "asked for" if execution == "native" else "fastest where it can go"
        if execution == "native":
            return "dense", obstacle
        form, why = _library_form(execution, pattern, strides, padding, sizes, dtype)
        return form, f"{obstacle}; {form}: {why}"
    return _library_form(execution, pattern, strides, padding, sizes, dtype)


def _library_form(execution, pattern, strides, padding, sizes, dtype):
    why_not = why_not_gather if execution == "gather" else why_not_grouped
    obstacle = why_not(pattern, strides=strides, padding=padding, sizes=sizes)
    if obstacle:
        return "dense", obstacle
    if execution != "auto":
        return execution, "asked for"
    return _measured(pattern, dtype)


# From how many channels on the grouped form is faster than the dense one on a CPU, and with how
# many channels a group: where one operation computes all groups, or the layer is wide; and where
# each group is a convolution of its own. From benchmarks/results/forms-*.csv: TensorFlow with and
# without XLA, and JAX, in float32 and bfloat16, forward alone and with gradients.
NARROWEST, WIDE = 64, 256
NARROWEST_GROUP, NARROWEST_SEPARATE_GROUP = 4, 8


def _measured(pattern, dtype):
    """The rule for `"auto"` among the forms of library operations: (form, why)."""
    if device := accelerator():
        if keras.backend.backend() != "jax":
            return "dense", f"nothing was measured on a {device} with this backend"
        # benchmarks/results/gpu-nvidia-h200.csv: at every width and precision.
        return "dense", f"measured as the fastest on a {device}"
    if keras.backend.backend() not in ("tensorflow", "jax"):
        return "dense", f"nothing was measured on {keras.backend.backend()}"
    width = min(pattern.in_channels, pattern.filters)
    group = pattern.in_channels // pattern.g
    small_is_fast = width >= WIDE or in_one_operation(pattern, dtype)
    least = NARROWEST_GROUP if small_is_fast else NARROWEST_SEPARATE_GROUP
    if width >= NARROWEST and group >= least:
        return "grouped", (
            f"faster from {NARROWEST} channels and {least} a group on (here {width}, {group})"
        )
    return "dense", f"faster below {NARROWEST} channels or {least} a group (here {width}, {group})"
