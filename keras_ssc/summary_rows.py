"""The rows of a summary: one for each kernel of a layer."""

import math
import re

import keras

from keras_ssc.layers import SSCConv2D

_CONVOLUTIONS = (
    keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D,
    keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D,
)  # fmt: skip
_SEPARABLE = (keras.layers.SeparableConv1D, keras.layers.SeparableConv2D)
_TRANSPOSED = (
    keras.layers.Conv1DTranspose, keras.layers.Conv2DTranspose, keras.layers.Conv3DTranspose,
)  # fmt: skip
_OF_REPORT = (
    "why_not_native", "inference_speed", "training_speed", "speed_source", "speed_basis",
)  # fmt: skip


def where_it_computes(model, make):
    """Call `make` as the model's steps are traced: for XLA where it was compiled with XLA."""
    if keras.backend.backend() != "tensorflow" or not getattr(model, "jit_compile", False):
        return make()
    import tensorflow as tf

    made = []

    @tf.function(jit_compile=True, autograph=False)
    def trace():
        made.append(make())
        return tf.constant(0)

    trace()
    return made[0]


def report_of(layer):
    """What a layer says of its execution; {} where it is not sparse."""
    if not isinstance(layer, SSCConv2D):
        return {}
    input_shape = layer.get_build_config()["input_shape"]
    return layer.execution_report(_sizes(layer, tuple(input_shape)[1:]))


def layer_rows(layer, report=None):
    """Return the rows of one layer: none, one, or two for a separable convolution.

    Args:
        layer: built layer.
        report: dict of its `execution_report`; None asks for it.
    """
    report = report_of(layer) if report is None else report
    if isinstance(layer, SSCConv2D):
        pattern = layer.pattern
        shape = (*pattern.kernel_size, pattern.in_channels, pattern.filters)
        return [_row(layer, shape, pattern.weight_count, layer.variable_dtype, report)]
    kernels = []
    if isinstance(layer, _SEPARABLE):
        kernels = [layer.depthwise_kernel, layer.pointwise_kernel]
    elif isinstance(layer, (*_CONVOLUTIONS, *_TRANSPOSED, keras.layers.Dense)):
        kernels = [layer.kernel]
    return [
        _row(layer, tuple(kernel.shape), _live(layer, kernel), kernel.dtype, report)
        for kernel in kernels
    ]


def _live(layer, kernel):
    """The weights under a mask of `keras_ssc.pruning`, or all."""
    if hasattr(layer, "kernel_mask"):
        return int(keras.ops.convert_to_numpy(layer.kernel_mask).sum())
    return math.prod(kernel.shape)


def _row(layer, kernel_shape, live, dtype, report):
    sparse = isinstance(layer, SSCConv2D)
    dense = math.prod(kernel_shape)
    input_shape = tuple(layer.get_build_config()["input_shape"])
    output_shape = tuple(layer.compute_output_shape(input_shape))[1:]
    input_size = _sizes(layer, input_shape[1:])
    # A transposed convolution multiplies its kernel with every pixel of its input.
    pixels = input_size if isinstance(layer, _TRANSPOSED) else _sizes(layer, output_shape)
    known = None not in pixels
    width = int(re.search(r"\d+", keras.backend.standardize_dtype(dtype))[0]) / 8
    return {
        "name": layer.name,
        "type": type(layer).__name__,
        "kernel_shape": kernel_shape,
        "g": layer.pattern.g if sparse else None,
        "p": layer.pattern.p if sparse else None,
        "output_shape": output_shape,
        "live_weights": live,
        "dense_weights": dense,
        "sparsity": 1 - live / dense,
        "macs": math.prod(pixels) * live if known else None,
        "dense_macs": math.prod(pixels) * dense if known else None,
        "bytes": math.ceil(live * width),
        "dense_bytes": math.ceil(dense * width),
        "execution": report.get("used"),
        **{name: report.get(name) for name in _OF_REPORT},
    }


def _sizes(layer, shape):
    """The sizes of a map without its channels, () for a vector."""
    if getattr(layer, "data_format", "channels_last") == "channels_first":
        return shape[1:]
    return shape[:-1]
