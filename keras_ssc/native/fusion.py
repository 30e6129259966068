"""Batch normalisation as part of the convolutions around it, in graphs that TensorFlow traces.

A tensor of a graph says which operation it comes from. Where that is one of ours, another one that
does more in the same pass takes its place; the first is left out of the graph where nothing else
needs its output. JAX's tensors don't say where they come from, so there nothing is fused.
"""

import keras

from keras_ssc.native import build

# Of a pattern and its geometry, in the order in which the library reads them.
PATTERN_ATTRIBUTES = (
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
)
ATTRIBUTES = (*PATTERN_ATTRIBUTES, "padding", "lanes", "slices")

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

    names = (*ATTRIBUTES, "epsilon", "relu", "output_epsilon")
    arguments = {name: convolution.get_attr(name) for name in names}
    arguments["padding"] = tf.compat.as_str(arguments["padding"])
    lists = {"weights": "matrices", "bias": "biases", "residual": "residuals", "norm": "norms"}
    lists["output_norm"] = "output_norms"
    inputs = list(convolution.inputs)
    arguments["x"] = inputs.pop(0)
    for name, count in lists.items():
        arguments[name] = [inputs.pop(0) for _ in range(convolution.get_attr(count))]
    return arguments


def _plain_convolution(x):
    """The arguments of the convolution behind `x`, with nothing behind it but a bias; or None."""
    convolution = operation_behind(x, "KerasSscConv2D")
    arguments = convolution and arguments_of(convolution)
    if not arguments or arguments["relu"] or arguments["residual"] or arguments["output_norm"]:
        return None
    return arguments


def normalized_convolution(x, norm, *, residual, relu, epsilon):
    """Return relu(x normalised + residual) in one pass with the convolution that makes x.

        (x - mean) / sqrt(variance + epsilon) * gamma + beta

    Args:
        x: tensor (batch, height, width, N).
        norm: list of tensors (N,): gamma, beta, mean, variance.
        residual: list of a tensor like x, or of none.
        relu: bool, whether what is negative becomes zero.
        epsilon: float, added to the variance.

    Returns:
        Tensor; None where `x` is not the plain output of a native convolution of this graph.
    """
    arguments = _plain_convolution(x)
    if arguments is None:
        return None
    arguments |= {"output_norm": norm, "output_epsilon": epsilon}
    arguments |= {"residual": residual, "relu": relu}
    y = build.operations().KerasSscConv2D(moment_count=0, **arguments).y
    y.set_shape(x.shape)
    return y


def gradients_of_normalized(convolution, arguments, dy):
    """Gradients by what an output is normalised with, and by the convolution before it.

    Args:
        convolution: function (arguments) -> output of the operation.
        arguments: dict, as of `arguments_of`.
        dy: tensor, the gradient by what was normalised.

    Returns:
        (list of the gradients by gamma, beta, mean, variance; tensor like `dy`).
    """
    gamma, _, mean, variance = arguments["output_norm"]
    nothing = {"output_norm": [], "residual": [], "relu": False}
    z = convolution(arguments | nothing)
    inverse = 1 / keras.ops.sqrt(variance + arguments["output_epsilon"])
    scale, axes = gamma * inverse, (0, 1, 2)
    dbeta = keras.ops.sum(dy, axes)
    dgamma = keras.ops.sum(dy * (z - mean), axes) * inverse
    by_moments = [-dbeta * scale, dgamma * scale * inverse / -2]
    return [dgamma, dbeta, *by_moments], dy * scale


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
