"""Batch normalisation (+ sum + ReLU) by the native operations, and its gradient."""

from keras_ssc.native.library import load, once


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
    return _operations().KerasSscBatchNorm(
        x=x, gamma=gamma, beta=beta, residual=_list(residual), relu=relu, epsilon=epsilon
    )


def scale_shift(x, scale, shift, residual, *, relu):
    """Return x * scale + shift (+ residual), cut at zero where `relu`; as for `batch_norm`."""
    return _operations().KerasSscScaleShift(
        x=x, scale=scale, shift=shift, residual=_list(residual), relu=relu
    )


def _list(residual):
    return [] if residual is None else [residual]


@once
def _operations():
    """Load the operations and tell TensorFlow their gradients, once."""
    import tensorflow as tf

    operations, why_not = load()
    if operations is None:
        raise RuntimeError(f"There are no native operations: {why_not}")

    @tf.RegisterGradient("KerasSscBatchNorm")
    def _(op, dy, _mean, _variance):
        # The moments go to the moving statistics only, which have no gradient.
        x, gamma, _, *residual = op.inputs
        y, mean, variance = op.outputs
        dx, dgamma, dbeta, dresidual = operations.KerasSscBatchNormGradient(
            dy=dy,
            y=y,
            x=x,
            gamma=gamma,
            mean=mean,
            variance=variance,
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
    def _(op, *_gradients):
        raise LookupError("The native batch normalisation has no second derivative.")

    return operations
