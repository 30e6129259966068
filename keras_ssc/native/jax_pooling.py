"""Max pooling on JAX whose gradient is no scatter.

On a GPU XLA's own gradient of a maximum over windows keeps the maximum in float32 and four int32
indices for each result of the forward pass, 20 bytes, reads the indices again and scatters. Here
the forward pass keeps one byte, the place of the first maximum in its window, and a pixel of the
gradient adds up what the windows over it send: a sum of shifted arrays, which XLA computes in one
pass. Windows of many places are left to XLA.
"""

import functools
import itertools
import math

import jax
import jax.numpy as jnp

MOST_PLACES = 16  # of a window: so many arrays are added up, and a place must fit in a byte


def max_pool(x, size, strides, padding):
    """Return the maximum over each window; the gradient goes to the first one, as in XLA.

    Args:
        x: array (batch, rows, columns, channels) of floats.
        size, strides: (rows, columns) of a window, and from one window to the next.
        padding: `"same"` or `"valid"`, as in Keras.
    """
    pool = _maxima if math.prod(size) > MOST_PLACES else _max_pool
    return pool(x, tuple(size), tuple(strides), padding.upper())


@functools.partial(jax.custom_jvp, nondiff_argnums=(1, 2, 3))
def _max_pool(x, size, strides, padding):
    return _maxima(x, size, strides, padding)


def _maxima(x, size, strides, padding):
    window, steps = (1, *size, 1), (1, *strides, 1)
    return jax.lax.reduce_window(
        x, jnp.array(-jnp.inf, x.dtype), jax.lax.max, window, steps, padding
    )


@_max_pool.defjvp
def _(size, strides, padding, arrays, tangents):
    (x,), (dx,) = arrays, tangents
    windows = functools.partial(_windows, size=size, strides=strides, padding=padding)
    first, *others = windows(x, -jnp.inf)
    greatest, place = first, jnp.zeros(first.shape, jnp.uint8)
    for number, one in enumerate(others, 1):
        greater = one > greatest
        greatest = jnp.maximum(greatest, one)
        place = jnp.where(greater, jnp.uint8(number), place)
    dy = jnp.zeros_like(greatest)
    for number, one in enumerate(windows(dx, 0)):
        dy += jnp.where(place == number, one, 0)
    return greatest, dy


def _windows(x, outside, size, strides, padding):
    """For each place in a window, what all windows have there; `outside` beyond the border."""
    pads = jax.lax.padtype_to_pads(x.shape[1:3], size, strides, padding)
    counts = [
        (extent + low + high - reach) // step + 1
        for extent, (low, high), reach, step in zip(x.shape[1:3], pads, size, strides, strict=True)
    ]
    if any(map(any, pads)):
        x = jax.lax.pad(
            x, jnp.array(outside, x.dtype), [(0, 0, 0), *((*p, 0) for p in pads), (0, 0, 0)]
        )
    for row, column in itertools.product(*map(range, size)):
        ends = [
            s + (n - 1) * step + 1
            for s, n, step in zip((row, column), counts, strides, strict=True)
        ]
        yield jax.lax.slice(
            x, (0, row, column, 0), (x.shape[0], *ends, x.shape[3]), (1, *strides, 1)
        )
