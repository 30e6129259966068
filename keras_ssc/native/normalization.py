"""Batch normalisation (+ sum + ReLU) by the native operations, and its gradient."""

import keras
import numpy as np

from keras_ssc.native import build
from keras_ssc.native.convolution import ATTRIBUTES


def batch_norm(x, gamma, beta, residual, *, relu, epsilon):
    """Return (y, mean, variance): x normalised by the moments of its own batch.

    Args:
        x: tensor (..., channels), float32.
        gamma: tensor (channels,), the scale.
        beta: tensor (channels,), the offset.
        residual: tensor like x that is added before the ReLU, or None.
        relu: bool, whether what is negative becomes zero.
        epsilon: float, added to the variance.
    """
    if keras.backend.backend() == "jax":
        build.operations()
        from keras_ssc.native import jax_normalization

        return jax_normalization.batch_norm(x, gamma, beta, residual, relu, epsilon)
    return _operations().KerasSscBatchNorm(
        x=x, gamma=gamma, beta=beta, residual=_list(residual), relu=relu, epsilon=epsilon
    )


def scale_shift(x, scale, shift, residual, *, relu):
    """Return x * scale + shift (+ residual), cut at zero where `relu`; as for `batch_norm`."""
    if keras.backend.backend() == "jax":  # one pass also by XLA, with what comes before and after
        y = x * scale + shift
        y = y if residual is None else y + residual
        return keras.ops.relu(y) if relu else y
    return _operations().KerasSscScaleShift(
        x=x, scale=scale, shift=shift, residual=_list(residual), relu=relu
    )


def normalized_convolution(x, scale, shift, residual, *, relu):
    """Return `scale_shift` of a native convolution's output in one pass with the convolution.

        relu(conv(input, w) * scale + shift + residual) = relu(conv(input, w * scale) + ...)

    While a graph is traced, `x` says which operation it comes from. That one is left out of the
    graph where nothing else needs its output.

    Args:
        x: tensor; other arguments as for `scale_shift`.

    Returns:
        Tensor; None where `x` is not the plain output of a native convolution of this graph, and
        on JAX, whose tensors don't say where they come from.
    """
    if keras.backend.backend() == "jax":
        return None
    import tensorflow as tf

    if tf.executing_eagerly() or x.op.type != "KerasSscConv2D":
        return None
    op = x.op
    count, biases = op.get_attr("matrices"), op.get_attr("biases")
    if op.get_attr("relu") or op.get_attr("residuals"):
        return None
    attributes = {name: op.get_attr(name) for name in ATTRIBUTES}
    attributes["padding"] = tf.compat.as_str(attributes["padding"])
    filters = np.split(attributes["filters"], np.cumsum(attributes["filter_counts"])[:-1])
    weights = [
        matrix * tf.gather(scale, columns)
        for matrix, columns in zip(op.inputs[1 : count + 1], filters, strict=True)
    ]
    for bias in op.inputs[count + 1 : count + 1 + biases]:
        shift = bias * scale + shift
    y = build.operations().KerasSscConv2D(
        x=op.inputs[0],
        weights=weights,
        bias=[shift],
        residual=_list(residual),
        relu=relu,
        **attributes,
    )
    y.set_shape(x.shape)
    return y


def _list(residual):
    return [] if residual is None else [residual]


@build.once
def _operations():
    """Load the operations and tell TensorFlow their gradients, once."""
    import tensorflow as tf

    operations = build.operations()

    @tf.RegisterGradient("KerasSscBatchNorm")
    def _(op, dy, _mean, _variance):
        # The moments go to the moving statistics only, which have no gradient.
        x, gamma, beta, *residual = op.inputs
        y, mean, variance = op.outputs
        # The sum of two gradients, where y went to the shortcut too, is taken in the same pass.
        dy, *more = _terms(dy) if residual else [dy]
        dx, dgamma, dbeta, dresidual = operations.KerasSscBatchNormGradient(
            dy=dy,
            y=y,
            x=x,
            gamma=gamma,
            beta=beta,
            mean=mean,
            variance=variance,
            more=more,
            residuals=len(residual),
            relu=op.get_attr("relu"),
            epsilon=op.get_attr("epsilon"),
        )
        return dx, dgamma, dbeta, *dresidual

    @tf.RegisterGradient("KerasSscScaleShift")
    def _(op, dy):
        x, scale, _, *residual = op.inputs
        (y,) = op.outputs
        dz = tf.where(y > 0, dy, 0) if op.get_attr("relu") else dy
        axes = list(range(x.shape.rank - 1))
        dscale, dshift = tf.reduce_sum(dz * x, axes), tf.reduce_sum(dz, axes)
        return dz * scale, dscale, dshift, *([dz] if residual else [])

    @tf.RegisterGradient("KerasSscBatchNormGradient")
    def _(op, *upstream):
        # Rare (GraSP's Hessian-gradient product), so TensorFlow's operations compute it.
        dy, y, x, gamma, _, _, _, *more = op.inputs
        dy = tf.add_n([dy, *more])
        with tf.GradientTape() as tape:
            tape.watch([dy, x, gamma])
            outputs = _gradient(dy, y, x, gamma, op.get_attr("relu"), op.get_attr("epsilon"))
            if op.get_attr("residuals"):
                outputs = (*outputs, tf.where(y > 0, dy, 0) if op.get_attr("relu") else dy)
            total = tf.add_n([tf.reduce_sum(a * b) for a, b in zip(outputs, upstream, strict=True)])
        second = tape.gradient(total, [dy, x, gamma], unconnected_gradients="zero")
        of_dy, of_x, of_gamma = second
        return of_dy, None, of_x, of_gamma, None, None, None, *([of_dy] * len(more))

    return operations


def _terms(dy):
    """The two tensors that `dy` is the sum of, where the traced graph says so; else itself."""
    import tensorflow as tf

    if not tf.executing_eagerly() and dy.op.type == "AddN" and len(dy.op.inputs) == 2:
        return list(dy.op.inputs)
    return [dy]


def _gradient(dy, y, x, gamma, relu, epsilon):
    """(dx, dgamma, dbeta) in TensorFlow's operations, all moments taken from x."""
    import tensorflow as tf

    axes = list(range(x.shape.rank - 1))
    dz = tf.where(y > 0, dy, tf.zeros_like(dy)) if relu else dy
    mean, variance = tf.nn.moments(x, axes)
    scale = tf.math.rsqrt(variance + epsilon)
    normal = (x - mean) * scale
    dgamma, dbeta = tf.reduce_sum(dz * normal, axes), tf.reduce_sum(dz, axes)
    count = tf.cast(tf.size(x) / tf.size(gamma), x.dtype)
    return gamma * scale * (dz - (dbeta + normal * dgamma) / count), dgamma, dbeta
