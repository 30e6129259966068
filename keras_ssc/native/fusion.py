"""Batch normalisation as part of the convolutions around it, in graphs that TensorFlow traces.

A tensor of a graph says which operation it comes from. Where that is one of ours, another one that
does more in the same pass takes its place; the first is left out of the graph where nothing else
needs its output. JAX's tensors don't say where they come from, so there nothing is fused.
"""

import keras
import numpy as np

from keras_ssc.native import build

ATTRIBUTES = (
    "kernel_size",
    "kxk",
    "pointwise",
    "taps",
    "tap_counts",
    "filters",
    "filter_counts",
    "shifts",
    "strides",
    "dilations",
    "padding",
    "lanes",
    "slices",
)

# Maps at least that wide are read row by row: what is done to a row then costs next to nothing.
ROWS = 8


def operation_behind(x, kind):
    """Return the operation of type `kind` whose first output is `x`, or None."""
    if keras.backend.backend() != "tensorflow":
        return None
    import tensorflow as tf

    if tf.executing_eagerly() or x.op.type != kind or x is not x.op.outputs[0]:
        return None
    return x.op


def arguments_of(convolution):
    """Return a native convolution's arguments, by name."""
    import tensorflow as tf

    names = (*ATTRIBUTES, "epsilon", "relu")
    arguments = {name: convolution.get_attr(name) for name in names}
    arguments["padding"] = tf.compat.as_str(arguments["padding"])
    lists = {"weights": "matrices", "bias": "biases", "residual": "residuals", "norm": "norms"}
    inputs = list(convolution.inputs)
    arguments["x"] = inputs.pop(0)
    for name, count in lists.items():
        arguments[name] = [inputs.pop(0) for _ in range(convolution.get_attr(count))]
    return arguments


def _plain_convolution(x):
    """The arguments of the convolution behind `x`, with nothing behind it but a bias; or None."""
    convolution = operation_behind(x, "KerasSscConv2D")
    arguments = convolution and arguments_of(convolution)
    return None if not arguments or arguments["relu"] or arguments["residual"] else arguments


def normalized_convolution(x, scale, shift, residual, relu):
    """Return relu(x * scale + shift + residual) in one pass with the convolution that makes x.

        relu(conv(input, w) * scale + shift + residual) = relu(conv(input, w * scale) + ...)

    Args:
        x: tensor (batch, height, width, N).
        scale: tensor (N,).
        shift: tensor (N,).
        residual: list of a tensor like x, or of none.
        relu: bool, whether what is negative becomes zero.

    Returns:
        Tensor; None where `x` is not the plain output of a native convolution of this graph.
    """
    arguments = _plain_convolution(x)
    if arguments is None:
        return None
    filters = np.split(arguments["filters"], np.cumsum(arguments["filter_counts"])[:-1])
    arguments["weights"] = [
        matrix * keras.ops.take(scale, columns, axis=0)
        for matrix, columns in zip(arguments["weights"], filters, strict=True)
    ]
    for bias in arguments["bias"]:
        shift = bias * scale + shift
    arguments |= {"bias": [shift], "residual": residual, "relu": relu}
    y = build.operations().KerasSscConv2D(moment_count=0, **arguments).y
    y.set_shape(x.shape)
    return y


def convolution_with_moments(x):
    """Return (x, mean, variance), the moments taken while the convolution makes `x`; or None."""
    arguments = _plain_convolution(x)
    if arguments is None:
        return None
    y, (mean, variance) = build.operations().KerasSscConv2D(moment_count=2, **arguments)
    y.set_shape(x.shape)
    return y, mean, variance


def normalization_before(x, pattern, strides, dilation_rate):
    """Return what a convolution reads in place of `x`: arguments x, norm and epsilon.

    Where `x` is a batch normalised with ReLU, and the convolution goes along rows, it normalises
    each row as it reads it.
    """
    as_it_is = {"x": x, "norm": [], "epsilon": 0.0}
    along_rows = (
        max(pattern.kernel_size) > 1
        and max(*strides, *dilation_rate) == 1
        and min(size or 0 for size in x.shape[1:3]) >= ROWS
    )
    norm = along_rows and operation_behind(x, "KerasSscNormalize")
    if not norm or norm.get_attr("residuals") or not norm.get_attr("relu"):
        return as_it_is
    before, *vectors = norm.inputs
    return {"x": before, "norm": vectors, "epsilon": norm.get_attr("epsilon")}
