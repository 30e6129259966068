"""From the compact weight matrices of a pattern to kernels that a library convolution takes.

Where each weight goes is index arithmetic on the short base list. It is written out in
`keras.ops`, so a graph holds the list (a few numbers) and never a table as long as the kernel.
"""

import numpy as np
from keras import ops


def _scatter(blocks, in_channels, channels_per_group, kernel_shape):
    """Put the weights of `blocks` into zeros of `kernel_shape` (taps, channels, columns).

    Args:
        blocks: list of (weights, taps, r, shifts, columns): a tensor (positions, filters), then
            int arrays (positions,), (positions,), (filters,), (filters,).
        in_channels: int, M: weight (i, n) reads channel (r_i + shift_n) mod M.
        channels_per_group: int; that channel stands in line `channel // channels_per_group`.
        kernel_shape: (taps, lines, columns).
    """
    _, lines, width = kernel_shape
    flat_indices, flat_values = [], []
    for weights, taps, r, shifts, columns in blocks:
        channel = (r[:, None] + ops.convert_to_tensor(shifts[None], "int32")) % in_channels
        line = taps[:, None] * lines + channel // channels_per_group
        flat_indices.append(ops.reshape(line * width + columns[None], (-1, 1)))
        flat_values.append(ops.reshape(weights, (-1,)))
    size = int(np.prod(kernel_shape))
    return ops.scatter(ops.concatenate(flat_indices), ops.concatenate(flat_values), (size,))


def _block(weights, positions, pattern, filters, columns):
    taps = positions[:, 0] * pattern.kernel_size[1] + positions[:, 1]
    arrays = (taps, positions[:, 2], pattern.shifts[filters], columns)
    return (weights, *(array.astype("int32") for array in arrays))


def expand_kernel(weights, pattern):
    """Return the dense kernel (K, K, M, N) of the compact matrices `weights`.

    Args:
        weights: list of tensors (positions, filters), one for each of `pattern.matrices`.
        pattern: SSCPattern.
    """
    blocks = [
        _block(matrix, positions, pattern, filters, filters)
        for matrix, (_, positions, filters) in zip(weights, pattern.matrices, strict=True)
    ]
    rows, columns = pattern.kernel_size
    shape = (rows * columns, pattern.in_channels, pattern.filters)
    flat = _scatter(blocks, pattern.in_channels, 1, shape)
    return ops.reshape(flat, (rows, columns, pattern.in_channels, pattern.filters))


def group_kernel(weights, pattern, order):
    """Return the KxK part as a kernel (K, K, M / g, N), filters in the order `order`.

    A filter of class c = s(n) mod g reads the channels c, c + g, c + 2g, ...: channel m is line
    m // g of its kernel. Needs g to divide M.
    """
    rank = np.argsort(order)
    blocks = []
    for matrix, (_, positions, filters) in zip(weights, pattern.matrices, strict=True):
        kxk = len(positions) - pattern.pointwise_channels
        blocks.append(_block(matrix[:kxk], positions[:kxk], pattern, filters, rank[filters]))
    rows, columns = pattern.kernel_size
    lines = pattern.in_channels // pattern.g
    flat = _scatter(blocks, pattern.in_channels, pattern.g, (rows * columns, lines, len(order)))
    return ops.reshape(flat, (rows, columns, lines, len(order)))


def pointwise_kernel(weights, pattern):
    """Return the 1x1 part as a kernel (1, 1, M, N)."""
    blocks = []
    for matrix, (_, positions, filters) in zip(weights, pattern.matrices, strict=True):
        kxk = len(positions) - pattern.pointwise_channels
        at_one_tap = positions[kxk:] * [0, 0, 1]
        blocks.append(_block(matrix[kxk:], at_one_tap, pattern, filters, filters))
    shape = (1, pattern.in_channels, pattern.filters)
    flat = _scatter(blocks, pattern.in_channels, 1, shape)
    return ops.reshape(flat, (1, *shape))
