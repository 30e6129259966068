"""Batch normalisation (+ sum + ReLU) by the native operations, and its gradient."""

import keras

from keras_ssc.native import build, fusion


def batch_norm(x, gamma, beta, residual, *, relu, epsilon):
    """Return (y, mean, variance): x normalised by the moments of its own batch.

    Args:
        x: tensor (..., channels), float32; on JAX of any type, by XLA where it is another.
        gamma: tensor (channels,), the scale.
        beta: tensor (channels,), the offset.
        residual: tensor like x that is added before the ReLU, or None.
        relu: bool, whether what is negative becomes zero.
        epsilon: float, added to the variance.
    """
    if keras.backend.backend() == "jax":
        from keras_ssc.native import jax_normalization

        return jax_normalization.batch_norm(x, gamma, beta, residual, relu, epsilon)
    settings = {"residual": _list(residual), "relu": relu, "epsilon": epsilon}
    found = fusion.convolution_with_moments(x)
    if found:
        x, mean, variance = found
        y = _operations().KerasSscNormalize(
            x=x, gamma=gamma, beta=beta, mean=mean, variance=variance, **settings
        )
        return y, mean, variance
    return _operations().KerasSscBatchNorm(x=x, gamma=gamma, beta=beta, **settings)


def normalize(x, gamma, beta, mean, variance, residual, *, relu, epsilon):
    """Return x normalised by given moments, tensors (channels,); other arguments as above."""
    settings = {"residual": _list(residual), "relu": relu}
    if keras.backend.backend() == "tensorflow":
        norm = [keras.ops.convert_to_tensor(one) for one in (gamma, beta, mean, variance)]
        y = fusion.normalized_convolution(x, norm, epsilon=epsilon, **settings)
        if y is not None:
            return y
    scale = gamma / keras.ops.sqrt(variance + epsilon)
    shift = beta - mean * scale
    if keras.backend.backend() == "jax":
        from keras_ssc.native import jax_fusion

        y = jax_fusion.normalized(x, scale, shift, residual, relu)
        if y is not None:
            return y
        y = x * scale + shift  # one pass also by XLA, with what comes before and after
        y = y if residual is None else y + residual
        return keras.ops.relu(y) if relu else y
    return _operations().KerasSscScaleShift(x=x, scale=scale, shift=shift, **settings)


def _list(residual):
    return [] if residual is None else [residual]


@build.once
def _operations():
    """Load the operations and tell TensorFlow their gradients, once."""
    import tensorflow as tf

    operations = build.operations()

    def backwards(op, dy, x, gamma, beta, mean, variance, residual):
        # The sum of two gradients, where y went to the shortcut too, is taken in the same pass.
        dy, *more = _terms(dy) if residual else [dy]
        dx, dgamma, dbeta, dresidual = operations.KerasSscBatchNormGradient(
            dy=dy,
            y=op.outputs[0],
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
        return dx, dgamma, dbeta, dresidual

    # The moments go to the moving statistics only, which have no gradient.
    @tf.RegisterGradient("KerasSscBatchNorm")
    def _(op, dy, _mean, _variance):
        x, gamma, beta, *residual = op.inputs
        _, mean, variance = op.outputs
        dx, dgamma, dbeta, by_residual = backwards(op, dy, x, gamma, beta, mean, variance, residual)
        return dx, dgamma, dbeta, *by_residual

    @tf.RegisterGradient("KerasSscNormalize")
    def _(op, dy):
        x, gamma, beta, mean, variance, *residual = op.inputs
        # Mean and variance are x's own: their part is in dx.
        dx, dgamma, dbeta, by_residual = backwards(op, dy, x, gamma, beta, mean, variance, residual)
        return dx, dgamma, dbeta, None, None, *by_residual

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
