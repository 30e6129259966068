"""From the compact weight matrices of a pattern to kernels that a library convolution takes.

All in whole blocks (reshape, pad, concatenate, roll, select), never entry by entry, and so is the
gradient: a pass or two over the kernel. A graph holds a few numbers for each filter
and never a table as long as the kernel.

A weight of relative channel r belongs to channel (r + s(n)) mod M. The KxK kernels of a filter sit
at r = g, 2g, ..., so with s(n) = g u + v they fill every g-th channel from g (1 + u) + v on: column
n of the short matrix is rolled by 1 + u, then its lines are set g apart, v lines down. The centre
tap, which also holds the 1x1 kernels, is written out as the list r = 1 ... M and rolled by s(n).
"""

import numpy as np
from keras import ops

from keras_ssc.channel_classes import is_residues_first


def expand_kernel(weights, pattern):
    """Return the dense kernel (K, K, M, N) of the compact matrices `weights`.

    Args:
        weights: list of tensors (positions, filters), one for each of `pattern.matrices`.
        pattern: SSCPattern.
    """
    kxk, pointwise = _parts(weights, pattern)
    rows, columns = pattern.kernel_size
    row, column = pattern.centre_tap
    before, after = row * columns + column, (rows - 1 - row) * columns + columns - 1 - column
    if pattern.pointwise_channels == 0:
        kernel = _set_apart(kxk, pattern.g, pattern)
    elif pattern.g == 0:
        kernel = _set_apart(pointwise, pattern.p, pattern)
        kernel = ops.pad(kernel, [(before, after), (0, 0), (0, 0)]) if before + after else kernel
    else:
        first, middle, last = ops.split(kxk, [before, before + 1], axis=0)
        parts = [_set_apart(first, pattern.g, pattern)] if before else []
        parts += [_centre(middle, pointwise, pattern)]
        parts += [_set_apart(last, pattern.g, pattern)] if after else []
        kernel = ops.concatenate(parts, axis=0)
    return ops.reshape(kernel, (rows, columns, pattern.in_channels, pattern.filters))


def group_kernel(weights, pattern, order):
    """Return the KxK part as a kernel (K, K, M / g, N), filters in the order `order`.

    A filter of class c = s(n) mod g reads the channels c, c + g, c + 2g, ...: channel m is line
    m // g of its kernel. Needs g to divide M.
    """
    kxk, _ = _parts(weights, pattern)
    lines = _rolled(kxk, 1 + pattern.shifts // pattern.g)
    lines = _in_order(lines, order, pattern.g)
    return ops.reshape(lines, (*pattern.kernel_size, *lines.shape[1:]))


def pointwise_kernel(weights, pattern):
    """Return the 1x1 part as a kernel (1, 1, M, N)."""
    _, pointwise = _parts(weights, pattern)
    if pattern.g == 0:
        return ops.expand_dims(_set_apart(pointwise, pattern.p, pattern), 0)
    none = ops.zeros((1, pattern.kxk_channels, pattern.filters), pointwise.dtype)
    return ops.expand_dims(_centre(none, pointwise, pattern), 0)


def _parts(weights, pattern):
    """The KxK weights (taps, M // g, N), zeros where no tap is, and the 1x1 ones (1, count, N)."""
    kxk, pointwise = [], []
    for matrix, (_, positions, filters) in zip(weights, pattern.matrices, strict=True):
        count = len(positions) - pattern.pointwise_channels
        first, last = ops.split(matrix, [count], axis=0)
        pointwise.append(ops.expand_dims(last, 0))
        if count:
            kxk.append(_all_taps(first, positions[:count], pattern, len(filters)))
    return _columns(kxk, pattern) if kxk else None, _columns(pointwise, pattern)


def _all_taps(matrix, positions, pattern, filters):
    """The KxK weights of one parity as (taps, M // g, filters), zeros where no tap is."""
    rows, columns = pattern.kernel_size
    shape = (pattern.kxk_channels, filters)
    live = (positions[:: pattern.kxk_channels, :2] @ [columns, 1]).tolist()
    taps = dict(zip(live, ops.unstack(ops.reshape(matrix, (len(live), *shape))), strict=True))
    zeros = ops.zeros(shape, matrix.dtype)
    return ops.stack([taps.get(tap, zeros) for tap in range(rows * columns)])


def _columns(parts, pattern):
    """Even and odd filters, two tensors (..., filters), together in the order of the filters."""
    if len(parts) == 1:
        return parts[0]
    if pattern.parity == "halves":
        return ops.concatenate(parts, axis=-1)
    even, odd = parts
    if pattern.filters % 2:
        odd = ops.pad(odd, [(0, 0), (0, 0), (0, 1)])
    # Not -1: there may be no entries at all.
    shape = (*even.shape[:-1], 2 * even.shape[-1])
    both = ops.reshape(ops.stack([even, odd], axis=-1), shape)
    return both[..., : pattern.filters] if pattern.filters % 2 else both


def _rolled(x, amounts):
    """`x` (taps, lines, N), column n rolled down by amounts[n]: one step for each binary digit."""
    amounts = amounts % x.shape[1]
    least = int(amounts.min())
    if least:
        x = ops.roll(x, least, axis=1)
    rest = amounts - least
    for digit in range(int(rest.max()).bit_length()):
        x = ops.where(rest >> digit & 1 == 1, ops.roll(x, 1 << digit, axis=1), x)
    return x


def _set_apart(x, step, pattern):
    """(taps, M, N) of `x` (taps, lines, N), whose line k is relative channel step * (k + 1)."""
    channels, shifts = pattern.in_channels, pattern.shifts % pattern.in_channels
    beyond = 0
    if channels % step:  # lines then do not close to a circle: as long as they get, cut afterwards
        lines = -(-(channels + 1 + int(shifts.max())) // step)
        x = ops.pad(x, [(0, 0), (0, lines - x.shape[1]), (0, 0)])
        beyond = min(lines * step, 2 * channels) - channels
    x = _rolled(x, 1 + shifts // step)
    if step > 1:
        taps, lines, filters = x.shape
        places = ops.expand_dims(ops.arange(step, dtype="int32"), 1)
        own = ops.equal(places, (shifts % step).astype("int32"))
        x = ops.where(own, ops.expand_dims(x, 2), ops.zeros((), x.dtype))
        x = ops.reshape(x, (taps, lines * step, filters))
    if not beyond:
        return x
    first, middle, last = ops.split(x[:, : channels + beyond], [beyond, channels], axis=1)
    return ops.concatenate([first + last, middle], axis=1)


def _centre(kxk, pointwise, pattern):
    """Return the centre tap (1, M, N) of its KxK weights (1, M // g, N) and the 1x1 ones."""
    lines, g, p, filters = pattern.kxk_channels, pattern.g, pattern.p, pattern.filters
    free = pattern.in_channels - lines
    count = pattern.pointwise_channels
    x = ops.pad(ops.reshape(pointwise, (count, 1, filters)), [(0, 0), (p - 1, 0), (0, 0)])
    x = ops.pad(ops.reshape(x, (count * p, filters)), [(0, free - count * p), (0, 0)])
    between, rest = ops.split(x, [lines * (g - 1)], axis=0)
    between = ops.reshape(between, (lines, g - 1, filters))
    x = ops.concatenate([between, ops.reshape(kxk, (lines, 1, filters))], axis=1)
    x = ops.concatenate([ops.reshape(x, (lines * g, filters)), rest], axis=0)
    return _rolled(ops.expand_dims(x, 0), 1 + pattern.shifts)


def _in_order(x, order, g):
    """`x` (taps, lines, N) with its columns in a new order, a transposition where that does it."""
    filters = len(order)
    if np.array_equal(order, np.arange(filters)):
        return x
    if is_residues_first(order, g):
        x = ops.reshape(x, (*x.shape[:2], filters // g, g))
        return ops.reshape(ops.swapaxes(x, -1, -2), (*x.shape[:2], filters))
    return ops.take(x, order.astype("int32"), axis=-1)
