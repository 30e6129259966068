"""How a mostly zero kernel of 8 bits is stored: its nonzero rows, and one place for each.

SSC kernels are regular: the filters of a class read the same positions. So one dimension is listed
(the taps, or the channels) and all others are stored in full, whichever way is the smallest: a
place for every weight would double the file.
"""

import itertools
from typing import NamedTuple

import numpy as np

WORTHWHILE = 0.8  # of the dense bytes


class SparseLayout(NamedTuple):
    """How an array is stored: `before` and `after` in full, `listed` by its nonzero entries.

    Attributes:
        before: tuple of axes.
        listed: axis.
        after: tuple of axes.
        block: int, neighbours along axis 0 that are stored together.
        bytes: int, of values and places.
    """

    before: tuple
    listed: int
    after: tuple
    block: int
    bytes: int


def smallest_layout(array):
    """Return the `SparseLayout` of `array` (filters, ...) with the fewest bytes.

    Example:

    >>> kernel = np.zeros((8, 3, 3, 4), "int8")
    >>> kernel[:4, 1, 1] = kernel[4:, 0] = 1
    >>> smallest_layout(kernel)[:4]
    ((0, 1), 2, (3,), 4)
    """
    axes, best = range(array.ndim), None
    for block in range(1, len(array) + 1):
        if len(array) % block:
            continue
        live = _blocks(array, block).any(axis=1)
        for listed, count in itertools.product(axes, axes):
            others = [axis for axis in axes if axis != listed]
            for before in itertools.combinations(others, count):
                after = tuple(axis for axis in others if axis not in before)
                rows = int(live.any(axis=after).sum())
                values = rows * block * int(np.prod([live.shape[axis] for axis in after]))
                places = rows * width(live.shape[listed] - 1)
                starts = 1 + int(np.prod([live.shape[axis] for axis in before]))
                size = values * array.itemsize + places + starts * width(rows)
                if best is None or size < best.bytes:
                    best = SparseLayout(before, listed, after, block, size)
    return best


def sparse_layout(array):
    """Return the `smallest_layout` of a mostly zero array, or None where dense is as small."""
    if array.ndim not in (2, 4) or np.count_nonzero(array) > WORTHWHILE * array.size:
        return None
    layout = smallest_layout(array)
    return layout if layout.bytes < WORTHWHILE * array.nbytes else None


def stored(array, layout):
    """Return (values, live) of an array in a layout.

    Returns:
        values: array (nonzero rows, entries of a row); a row runs over `after` and the block.
        live: bool array (places before the listed axis, places in it), True for nonzero rows.
    """
    blocks = np.moveaxis(_blocks(array, layout.block), 1, -1)
    blocks = blocks.transpose(*layout.before, layout.listed, *layout.after, array.ndim)
    count = len(layout.before)
    before, side = int(np.prod(blocks.shape[:count])), blocks.shape[count]
    rows = blocks.reshape(before, side, -1)
    live = rows.any(axis=2)
    return rows[live], live


def _blocks(array, block):
    """`array` with its first axis split into (blocks, entries of a block)."""
    return array.reshape(len(array) // block, block, *array.shape[1:])


def width(largest):
    """Bytes of an integer up to `largest` in the format."""
    return 1 if largest < 2**8 else 2 if largest < 2**16 else 4
