"""Kernels stored as their live weights, and unpacked once, when a runtime loads the file.

Filters that read the same channels stand side by side, so that live weights come in runs of equal
length. A file holds the runs and one integer for each: its place. Zeros are not stored.
"""

from dataclasses import dataclass

import numpy as np
from keras import ops


@dataclass(frozen=True)
class PackedKernel:
    """The live runs of a kernel: run k of `values` stands at place `rows[k]`.

    Args:
        shape: tuple of ints, the kernel's shape.
        rows: int array (runs,), places in the kernel seen as a matrix (places, run length).
        values: float array (runs, run length).

    Example:

    >>> kernel = np.array([[0, 0, 1, 2], [3, 4, 0, 0]], "float32")
    >>> packed = pack(kernel, kernel != 0)
    >>> packed.rows.tolist(), packed.values.tolist()
    ([1, 2], [[1.0, 2.0], [3.0, 4.0]])
    """

    shape: tuple
    rows: np.ndarray
    values: np.ndarray

    def unpack(self, rows, values):
        """Return the kernel, a tensor of `shape`, from the tensors `rows` and `values`."""
        length = self.values.shape[1]
        places = int(np.prod(self.shape)) // length
        return ops.reshape(ops.scatter(rows[:, None], values, (places, length)), self.shape)

    def expanded(self):
        """Return the kernel as a NumPy array."""
        length = self.values.shape[1]
        kernel = np.zeros((int(np.prod(self.shape)) // length, length), self.values.dtype)
        kernel[self.rows] = self.values
        return kernel.reshape(self.shape)


def pack(kernel, live):
    """Return the `PackedKernel` of a kernel, in runs as long as possible.

    Args:
        kernel: float array (..., filters).
        live: bool array of the same shape, False where the kernel is zero by design.
    """
    filters = kernel.shape[-1]
    for length in range(filters, 0, -1):
        if filters % length == 0:
            runs = live.reshape(-1, length)
            if np.array_equal(runs.all(axis=1), runs.any(axis=1)):
                break
    rows = np.flatnonzero(runs[:, 0])
    return PackedKernel(kernel.shape, rows.astype("int32"), kernel.reshape(-1, length)[rows])
