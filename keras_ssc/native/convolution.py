"""The convolution and its gradients by the native operations, on the compact weights."""

import keras

from keras_ssc.native import build
from keras_ssc.patterns import EVEN, ODD

WIDEST = 8


def lanes(pattern):
    """Return 8 where all vectors of 8 filters read consecutive channels, else 1.

    Args:
        pattern: SSCPattern.
    """
    for _, _, filters in pattern.matrices:
        if len(filters) % WIDEST:
            return 1
        vectors = filters.reshape(-1, WIDEST)
        shifts = pattern.shifts[vectors]
        if ((vectors[:, 1:] - vectors[:, :-1]) != 1).any():
            return 1
        if ((shifts[:, 1:] - shifts[:, :-1]) != 1).any():
            return 1
    return WIDEST


def native(
    x,
    weights,
    pattern,
    *,
    strides,
    padding,
    dilation_rate,
    bias=None,
    residual=None,
    relu=False,
    widest=0,
    slices=0,
):
    """Convolve `x` (batch, height, width, M), float32. Other arguments as for `dense`.

    Args:
        bias: tensor (N,) to add, or None.
        residual: tensor like the output to add, or None.
        relu: bool, whether what is negative becomes zero.
        widest: int, floats of the widest vectors to use; 0: the library's choice.
        slices: int, parts of the work; 0: a few for each of the framework's threads.
    """
    if keras.backend.backend() == "jax":
        build.operations()
        from keras_ssc.native.jax_convolution import Geometry, convolve

        sizes = (tuple(strides), padding, tuple(dilation_rate))
        geometry = Geometry(pattern, *sizes, lanes=widest, slices=slices)
        return convolve(x, weights, geometry, bias, residual, relu)
    attributes = attributes_of(pattern, strides, dilation_rate) | {
        "padding": padding.upper(),
        "lanes": widest,
        "slices": slices,
    }
    added = {
        name: [] if tensor is None else [tensor]
        for name, tensor in {"bias": bias, "residual": residual}.items()
    }
    return _operations().KerasSscConv2D(x=x, weights=weights, relu=relu, **added, **attributes)


def attributes_of(pattern, strides, dilation_rate):
    """What the native library must know of a convolution, as lists of integers."""
    taps = [pattern.taps(ODD if name == "kernel_odd" else EVEN) for name, _, _ in pattern.matrices]
    filters = [filters for _, _, filters in pattern.matrices]
    _, positions, _ = pattern.matrices[0]
    pointwise = positions[len(positions) - pattern.pointwise_channels :, 2]
    return {
        "kernel_size": list(pattern.kernel_size),
        "kxk": [pattern.g * (k + 1) for k in range(pattern.kxk_channels)],
        "pointwise": pointwise.tolist(),
        "taps": [side for list_ in taps for side in list_.ravel().tolist()],
        "tap_counts": [len(list_) for list_ in taps],
        "filters": [n for list_ in filters for n in list_.tolist()],
        "filter_counts": [len(list_) for list_ in filters],
        "shifts": pattern.shifts.tolist(),
        "strides": list(strides),
        "dilations": list(dilation_rate),
    }


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


@build.once
def _operations():
    """Load the operations and tell TensorFlow their gradients, once."""
    import tensorflow as tf

    operations = build.operations()

    @tf.RegisterGradient("KerasSscConv2D")
    def _(op, dy):
        count = op.get_attr("matrices")
        x, weights = op.inputs[0], op.inputs[1 : count + 1]
        if op.get_attr("relu"):
            dy = tf.raw_ops.ReluGrad(gradients=dy, features=op.outputs[0])
        attributes = {name: op.get_attr(name) for name in ATTRIBUTES}
        attributes["padding"] = tf.compat.as_str(attributes["padding"])
        dx = operations.KerasSscConv2DInputGradient(
            x_shape=tf.shape(x), dy=dy, weights=weights, **attributes
        )
        dx.set_shape(x.shape)
        gradients = operations.KerasSscConv2DWeightGradient(
            x=x, dy=dy, matrices=count, **attributes
        )
        by_bias = [tf.raw_ops.BiasAddGrad(out_backprop=dy)] * op.get_attr("biases")
        return dx, *gradients, *by_bias, *([dy] * op.get_attr("residuals"))

    for name in ("KerasSscConv2DInputGradient", "KerasSscConv2DWeightGradient"):

        @tf.RegisterGradient(name)
        def _(op, *_gradients):
            raise LookupError(
                "The native SSC convolution has no second derivative. Use "
                'execution="dense" in layers that are differentiated twice.'
            )

    return operations
