"""The convolution and its gradients by the native operations, on the compact weights."""

from keras_ssc.native.library import load, once
from keras_ssc.patterns import EVEN, ODD


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
        slices: int, parts of the work; 0: a few for each of TensorFlow's threads.
    """
    operations = _operations()
    attributes = _pattern_attributes(pattern) | {
        "strides": list(strides),
        "dilations": list(dilation_rate),
        "padding": padding.upper(),
        "lanes": widest,
        "slices": slices,
    }
    added = {
        name: [] if tensor is None else [tensor]
        for name, tensor in {"bias": bias, "residual": residual}.items()
    }
    return operations.KerasSscConv2D(x=x, weights=weights, relu=relu, **added, **attributes)


def _pattern_attributes(pattern):
    """What the operations must know of a pattern, as lists of integers."""
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


@once
def _operations():
    """Load the operations and tell TensorFlow their gradients, once."""
    import tensorflow as tf

    operations, why_not = load()
    if operations is None:
        raise RuntimeError(f"There are no native operations: {why_not}")

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
