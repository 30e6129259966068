"""The native batch normalisation on JAX, and its gradient.

    y = relu((x - mean) / sqrt(variance + epsilon) * gamma + beta + residual)

Its derivative is a primitive of its own, linear in the tangents of x, gamma, beta and residual: a
formula in forward mode, in reverse mode the native gradient. What is differentiated twice is made
of JAX's operations.
"""

import functools

import jax
import jax.numpy as jnp
import keras
import numpy as np
from jax.interpreters import ad

from keras_ssc.native.jax_primitive import call, primitive


def batch_norm(x, gamma, beta, residual, relu, epsilon):
    """Return (y, mean, variance); arguments as for `keras_ssc.native.batch_norm`."""
    arrays = [x, gamma, beta] if residual is None else [x, gamma, beta, residual]
    arrays = [keras.ops.convert_to_tensor(array) for array in arrays]
    return call(_batch_norm, arrays, relu=relu, epsilon=epsilon)


def _attributes(relu, epsilon, **_):
    return {"relu": relu, "epsilon": np.float32(epsilon)}


def _axes(x):
    return tuple(range(x.ndim - 1))


def _differentiated(portable):
    """The rule of derivatives of a primitive by those of its portable form."""

    def jvp(arrays, tangents, **parameters):
        tangents = [
            jnp.zeros_like(array) if tangent is None else tangent
            for tangent, array in zip(tangents, arrays, strict=True)
        ]
        function = functools.partial(portable, **parameters)
        return jax.jvp(function, tuple(arrays), tuple(tangents))

    return jvp


# Forward: x, gamma, beta, and the residual where there is one; y, mean, variance.


def _portable(x, gamma, beta, *residual, relu, epsilon):
    mean, variance = jnp.mean(x, _axes(x)), jnp.var(x, _axes(x))
    y = (x - mean) * (gamma * jax.lax.rsqrt(variance + epsilon)) + beta
    for added in residual:
        y = y + added
    return [jax.nn.relu(y) if relu else y, mean, variance]


def _jvp(arrays, tangents, *, relu, epsilon):
    y, mean, variance = _batch_norm.bind(*arrays, relu=relu, epsilon=epsilon)
    x, gamma, beta, *_ = arrays
    along = [
        jnp.zeros_like(array) if tangent is None else tangent
        for tangent, array in zip(tangents, arrays, strict=True)
    ]
    (dy,) = _tangent.bind(
        *along, x, gamma, beta, mean, variance, y, relu=relu, epsilon=epsilon, linear=len(along)
    )
    dmean = jnp.mean(along[0], _axes(x))
    dvariance = 2 * jnp.mean((x - mean) * along[0], _axes(x))
    return [y, mean, variance], [dy, dmean, dvariance]


_batch_norm = primitive(
    "keras_ssc_batch_norm",
    shapes=lambda x, gamma, *_, **__: [x.shape, gamma.shape, gamma.shape],
    portable=_portable,
    target="KerasSscBatchNorm",
    attributes=_attributes,
    jvp=_jvp,
)


# The derivative of y: the first `linear` arrays are the tangents, of x, gamma, beta, residual.


def _portable_tangent(*arrays, relu, epsilon, linear):
    dx, dgamma, dbeta, *dresidual = arrays[:linear]
    x, gamma, _, mean, variance, y = arrays[linear:]
    inverse = jax.lax.rsqrt(variance + epsilon)
    normal = (x - mean) * inverse
    means = jnp.mean(dx, _axes(x)), jnp.mean(dx * normal, _axes(x))
    dy = gamma * inverse * (dx - means[0] - normal * means[1]) + dgamma * normal + dbeta
    for added in dresidual:
        dy = dy + added
    return [jnp.where(y > 0, dy, 0) if relu else dy]


def _tangent_transpose(gradients, *arrays, relu, epsilon, linear):
    known = arrays[linear:]
    if any(ad.is_undefined_primal(array) for array in known):
        raise NotImplementedError("only the tangents are linear")
    *others, y = known
    gate = [y] if relu and linear > 3 else []
    found = _gradient.bind(
        *gradients, *others, *gate, relu=relu, epsilon=epsilon, residual=linear > 3
    )
    return [*found, *[None] * len(known)]


_tangent = primitive(
    "keras_ssc_batch_norm_tangent",
    shapes=lambda dx, *_, **__: [dx.shape],
    portable=_portable_tangent,
    jvp=_differentiated(_portable_tangent),
    transpose=_tangent_transpose,
)


# The gradient: dy, x, gamma, beta, mean, variance, and y where a residual stood before a ReLU.


def _portable_gradient(dy, x, gamma, beta, mean, variance, *y, relu, epsilon, residual):
    inverse = jax.lax.rsqrt(variance + epsilon)
    normal = (x - mean) * inverse
    if relu:
        (y,) = y or (normal * gamma + beta,)
        dy = jnp.where(y > 0, dy, 0)
    dgamma, dbeta = jnp.sum(dy * normal, _axes(x)), jnp.sum(dy, _axes(x))
    count = x.size // gamma.size
    dx = gamma * inverse * (dy - (dbeta + normal * dgamma) / count)
    return [dx, dgamma, dbeta, *([dy] if residual else [])]


def _gradient_shapes(dy, _, gamma, *__, residual, **___):
    return [dy.shape, gamma.shape, gamma.shape, *([dy.shape] if residual else [])]


_gradient = primitive(
    "keras_ssc_batch_norm_gradient",
    shapes=_gradient_shapes,
    portable=_portable_gradient,
    target="KerasSscBatchNormGradient",
    attributes=_attributes,
    jvp=_differentiated(_portable_gradient),
)
