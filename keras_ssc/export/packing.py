"""Kernels kept as live weights and unpacked by index arithmetic when a runtime loads the file.

A file holds the live weights and a few short lists of integers. The places of the weights in a
kernel are computed from the lists by operations of the graph, which a runtime does once, at load:
no table as long as the kernel is stored.
"""

from dataclasses import dataclass

import numpy as np
from keras import ops


@dataclass(frozen=True)
class PackedKernel:
    """The live weights of a kernel and where they go: weight (i, n) of a block stands at

        tap_i,  line_of_channel[(r_i + shift_n) mod M],  column_n.

    Args:
        shape: (rows, columns, lines, filters) of the kernel; `lines` is its number of input
            channels.
        line_of_channel: int array (M,), the line on which input channel m stands.
        blocks: tuple of (weights, taps, r, shifts, columns): a float array (positions, filters)
            and int arrays (positions,), (positions,), (filters,), (filters,).
    """

    shape: tuple
    line_of_channel: np.ndarray
    blocks: tuple

    @property
    def leaves(self):
        """All arrays that a file has to hold: a flat list."""
        return [self.line_of_channel, *(array for block in self.blocks for array in block)]

    def unpack(self, leaves):
        """Return the kernel, a tensor of `shape`, computed from the tensors `leaves`."""
        line_of_channel, *rest = leaves
        rows, columns, lines, filters = self.shape
        places, values = [], []
        for start in range(0, len(rest), 5):
            weights, taps, r, shifts, column = rest[start : start + 5]
            channel = (r[:, None] + shifts[None]) % len(self.line_of_channel)
            line = taps[:, None] * lines + ops.take(line_of_channel, channel)
            places.append(ops.reshape(line * filters + column[None], (-1, 1)))
            values.append(ops.reshape(weights, (-1,)))
        size = rows * columns * lines * filters
        flat = ops.scatter(ops.concatenate(places), ops.concatenate(values), (size,))
        return ops.reshape(flat, self.shape)

    def expanded(self):
        """Return the kernel as a NumPy array."""
        leaves = [ops.convert_to_tensor(leaf) for leaf in self.leaves]
        return ops.convert_to_numpy(self.unpack(leaves))


def pack(weights, pattern, part, line_of_channel, column_of_filter, lines):
    """Return a `PackedKernel` of the compact matrices of an SSC layer.

    Args:
        weights: list of arrays (positions, filters), one for each of `pattern.matrices`.
        pattern: SSCPattern.
        part: `"all"` positions, those of the `"kxk"` kernels, or the `"pointwise"` ones alone,
            which then stand in a kernel of one tap.
        line_of_channel: int array (M,).
        column_of_filter: int array (N,).
        lines: int, input channels of the kernel (M / g in a grouped one).
    """
    one_tap = part == "pointwise"
    blocks = []
    for matrix, (_, positions, filters) in zip(weights, pattern.matrices, strict=True):
        kxk = len(positions) - pattern.pointwise_channels
        chosen = {"all": slice(None), "kxk": slice(kxk), "pointwise": slice(kxk, None)}[part]
        row, column, r = positions[chosen].T
        taps = np.zeros_like(r) if one_tap else row * pattern.kernel_size[1] + column
        lists = (taps, r, pattern.shifts[filters], column_of_filter[filters])
        blocks.append((matrix[chosen], *(list_.astype("int32") for list_ in lists)))
    size = (1, 1) if one_tap else pattern.kernel_size
    shape = (*size, lines, pattern.filters)
    return PackedKernel(shape, line_of_channel.astype("int32"), tuple(blocks))
