"""The convolution and its gradients by the native operations, on the compact weights."""

import keras

from keras_ssc.native import build, fusion
from keras_ssc.native.availability import accelerator
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
        slices: int, parts of the work; 0: a few for each of the framework's threads.
    """
    if keras.backend.backend() == "jax":
        from keras_ssc.native import jax_fusion
        from keras_ssc.native.jax_convolution import Geometry, convolve

        if accelerator():
            from keras_ssc.native.gpu.lowering import register
            from keras_ssc.native.gpu.ordered import convolve

            register()
        else:
            build.operations()
        sizes = (tuple(strides), padding, tuple(dilation_rate))
        geometry = Geometry(pattern, *sizes, lanes=widest, slices=slices)
        y = convolve(x, weights, geometry, bias, residual, relu)
        if not (accelerator() or relu or residual is not None):
            jax_fusion.remember(y, x, weights, geometry, bias)
        return y
    attributes = attributes_of(pattern, strides, dilation_rate) | {
        "padding": padding.upper(),
        "lanes": widest,
        "slices": slices,
    }
    added = {
        name: [] if tensor is None else [tensor]
        for name, tensor in {"bias": bias, "residual": residual}.items()
    }
    source = fusion.normalization_before(x, pattern, strides, dilation_rate)
    y, _ = _operations().KerasSscConv2D(
        weights=weights, relu=relu, output_norm=[], moment_count=0, **source, **added, **attributes
    )
    return y


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


@build.once
def _operations():
    """Load the operations and tell TensorFlow their gradients, once."""
    import tensorflow as tf

    operations = build.operations()

    @tf.RegisterGradient("KerasSscConv2D")
    def _(op, dy, *_moments):
        # Moments go to a normalisation, whose gradient holds their part.
        a = fusion.arguments_of(op)
        if a["relu"]:
            dy = tf.raw_ops.ReluGrad(gradients=dy, features=op.outputs[0])
        by_residual = [dy] * len(a["residual"])
        by_output_norm = []
        if a["output_norm"]:
            by_output_norm, dy = fusion.gradients_of_normalized(
                lambda arguments: operations.KerasSscConv2D(moment_count=0, **arguments).y, a, dy
            )
        attributes = {name: a[name] for name in fusion.ATTRIBUTES}
        x, norm, epsilon = a["x"], a["norm"], a["epsilon"]
        dx = operations.KerasSscConv2DInputGradient(
            x_shape=tf.shape(x), dy=dy, weights=a["weights"], **attributes
        )
        dx.set_shape(x.shape)
        by_weights = operations.KerasSscConv2DWeightGradient(
            x=x, dy=dy, norm=norm, epsilon=epsilon, matrices=len(a["weights"]), **attributes
        )
        by_norm = []
        if norm:
            gamma, beta, mean, variance = norm
            dx, dgamma, dbeta, _ = operations.KerasSscBatchNormGradient(
                dy=dx,
                y=x,  # not read: what the ReLU let through follows from x
                x=x,
                gamma=gamma,
                beta=beta,
                mean=mean,
                variance=variance,
                more=[],
                residuals=0,
                relu=True,
                epsilon=epsilon,
            )
            by_norm = [dgamma, dbeta, None, None]
        by_bias = [tf.raw_ops.BiasAddGrad(out_backprop=dy)] * len(a["bias"])
        return dx, *by_weights, *by_bias, *by_residual, *by_norm, *by_output_norm

    for name in ("KerasSscConv2DInputGradient", "KerasSscConv2DWeightGradient"):

        @tf.RegisterGradient(name)
        def _(op, *_gradients):
            raise LookupError(
                "The native SSC convolution has no second derivative. Use "
                'execution="dense" in layers that are differentiated twice.'
            )

    return operations
