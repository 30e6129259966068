"""What a loaded image set holds."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Dataset:
    """An image set in memory.

    Args:
        name: str.
        x_train, x_test: uint8 arrays (images, height, width, 3), values 0 to 255.
        y_train, y_test: int32 arrays (images,), labels from 0.
        class_names: tuple of str, one for each label.
        mean, std: three floats each, of the training images scaled to [0, 1].
        flip: bool, whether a mirrored image still shows its class.

    Example:

    >>> Dataset("tiny", *[np.zeros((2, 4, 4, 3), "uint8"), np.zeros(2, "int32")] * 2,
    ...         class_names=("a",), mean=(0, 0, 0), std=(1, 1, 1), flip=True).classes
    1
    """

    name: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    class_names: tuple
    mean: tuple
    std: tuple
    flip: bool

    @property
    def classes(self):
        """Number of classes."""
        return len(self.class_names)
