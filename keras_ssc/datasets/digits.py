"""Handwritten digits (UCI), which scikit-learn carries: real images without a network."""

import numpy as np

from keras_ssc.datasets.dataset import Dataset
from keras_ssc.datasets.facts import FACTS


def load_digits(data_dir=None):
    """Return the 1,797 digits of scikit-learn, shown at 32x32x3.

    Each of the 8x8 pixels of value 0 to 16 becomes 4x4 pixels of value 0 to 255, in three equal
    channels. Every fifth image of a class is a test image.

    Args:
        data_dir: not used; there for the common signature of the loaders.

    Raises:
        ImportError: scikit-learn is missing.

    Example:

    >>> load_digits().x_test.shape
    (360, 32, 32, 3)

    Reference: Alpaydin and Kaynak, "Optical Recognition of Handwritten Digits", UCI.
    """
    del data_dir
    try:
        from sklearn.datasets import load_digits as load
        from sklearn.model_selection import train_test_split
    except ImportError as error:
        raise ImportError("The digits need scikit-learn: pip install scikit-learn") from error
    bunch = load()
    x = np.round(bunch.images * (255 / 16)).astype("uint8")
    x = np.repeat(np.repeat(x, 4, axis=1), 4, axis=2)
    x = np.repeat(x[..., None], 3, axis=-1)
    y = bunch.target.astype("int32")
    x_train, x_test, y_train, y_test = train_test_split(
        x, y, test_size=0.2, stratify=y, random_state=0
    )
    scaled = x_train / 255
    return Dataset(
        name="digits",
        x_train=x_train,
        y_train=y_train,
        x_test=x_test,
        y_test=y_test,
        class_names=tuple(str(name) for name in bunch.target_names),
        mean=tuple(scaled.mean((0, 1, 2)).tolist()),
        std=tuple(scaled.std((0, 1, 2)).tolist()),
        flip=FACTS["digits"].flip,
    )
