"""Batch normalisation on JAX, and its gradient: natively on CPU, elsewhere in few passes.

    y = relu((x - mean) / sqrt(variance + epsilon) * gamma + beta + residual)

Its derivative is a primitive of its own, linear in the tangents of x, gamma, beta and residual: a
formula in forward mode, in reverse mode a gradient of its own. So XLA, which computes the portable
forms (on a GPU), reads x once for both moments, and dy and x once for both sums;
Keras's own operations, and their derivatives one by one, take more passes. What is differentiated
twice is made of JAX's operations.
"""

import functools

import jax
import jax.numpy as jnp
import keras
import numpy as np
from jax.interpreters import ad

from keras_ssc.native.jax_primitive import call, explicit_axes, primitive

FEW_PIXELS = 4096  # of a batch; XLA splits sums over more of them, seen in its programs for a GPU


def batch_norm(x, gamma, beta, residual, relu, epsilon):
    """Return (y, mean, variance); arguments as for `keras_ssc.native.batch_norm`."""
    arrays = [x, gamma, beta] if residual is None else [x, gamma, beta, residual]
    arrays = [keras.ops.convert_to_tensor(array) for array in arrays]
    return call(_batch_norm, arrays, relu=relu, epsilon=epsilon)


def _attributes(relu, epsilon, **_):
    return {"relu": relu, "epsilon": np.float32(epsilon)}


def _axes(x):
    return tuple(range(x.ndim - 1))


def _wide(x):
    """The type in which moments and sums are taken, as Keras does: at least float32."""
    return jnp.promote_types(x.dtype, jnp.float32)


@jax.custom_jvp
def _two_sums(one, other):
    """The sums of each channel of two arrays: XLA makes one pass over the pixels of it.

    Few pixels are added up image by image first. XLA does so by itself with more of them; these it
    gives to few blocks of threads, and writes what is to be added into memory before.
    """
    zero = jnp.zeros((), one.dtype)

    def add(sums, more):
        return sums[0] + more[0], sums[1] + more[1]

    sums, axes = (one, other), _axes(one)
    if one.size <= FEW_PIXELS * one.shape[-1]:
        sums, axes = tuple(jax.lax.reduce(sums, (zero, zero), add, axes[1:])), (0,)
    return tuple(jax.lax.reduce(sums, (zero, zero), add, axes))


@_two_sums.defjvp
def _(arrays, tangents):
    return _two_sums(*arrays), tuple(jnp.sum(own, _axes(own)) for own in tangents)


def _moments(x):
    """The mean and variance of each channel, in one pass over x.

    Both are taken of the distance to the first pixel, so that a mean far from zero costs them no
    digits.
    """
    if explicit_axes(x):  # which allow no slice of a batch that is shared out
        mean = jnp.mean(x, _axes(x), _wide(x))
        return mean, jnp.mean(jnp.square(x - mean), _axes(x))
    one, wide = (slice(1),) * (x.ndim - 1), _wide(x)
    first = jnp.sum(x[one], _axes(x), wide)  # nothing of an empty batch
    distance, count = x.astype(wide) - first, x.size // x.shape[-1]
    mean, squares = (total / count for total in _two_sums(distance, jnp.square(distance)))
    return first + mean, jnp.maximum(squares - jnp.square(mean), 0)


def _scale_and_shift(gamma, beta, mean, variance, epsilon):
    scale = jax.lax.rsqrt(variance + epsilon) * gamma
    return scale, beta - mean * scale


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
    mean, variance = _moments(x)
    scale, shift = _scale_and_shift(gamma, beta, mean, variance, epsilon)
    y = (x * scale + shift).astype(x.dtype)
    for added in residual:
        y = y + added
    return [jax.nn.relu(y) if relu else y, mean, variance]


def _shapes(x, gamma, *_, **__):
    moments = gamma.update(dtype=_wide(x))
    return [x, moments, moments]


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
    dx = along[0].astype(_wide(x))
    dmean, dvariance = jnp.mean(dx, _axes(x)), 2 * jnp.mean((x - mean) * dx, _axes(x))
    return [y, mean, variance], [dy, dmean, dvariance]


_batch_norm = primitive(
    "keras_ssc_batch_norm",
    shapes=_shapes,
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
    means = jnp.mean(dx, _axes(x), _wide(x)), jnp.mean(dx * normal, _axes(x))
    dy = gamma * inverse * (dx - means[0] - normal * means[1]) + dgamma * normal + dbeta
    dy = dy.astype(x.dtype)
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
    normal, count = (x - mean) * inverse, x.size // gamma.size
    scale, shift = _scale_and_shift(gamma, beta, mean, variance, epsilon)
    if relu:
        (y,) = y or (x * scale + shift,)

    # Cut at zero anew for each of the sums and for dx: XLA would write one result of it and read it
    # again, where reading dy is enough.
    def cut(values):
        return jnp.where(y > 0, values, 0) if relu else values

    dgamma, dbeta = _two_sums(cut(dy * normal), cut(dy.astype(normal.dtype)))
    dx = cut(dy * scale) - scale * (dbeta + normal * dgamma) / count
    of_vectors = [dgamma.astype(gamma.dtype), dbeta.astype(beta.dtype)]
    return [dx.astype(x.dtype), *of_vectors, *([cut(dy)] if residual else [])]


def _gradient_shapes(dy, _, gamma, beta, *__, residual, **___):
    return [dy, gamma, beta, *([dy] if residual else [])]


_gradient = primitive(
    "keras_ssc_batch_norm_gradient",
    shapes=_gradient_shapes,
    portable=_portable_gradient,
    target="KerasSscBatchNormGradient",
    attributes=_attributes,
    jvp=_differentiated(_portable_gradient),
)
