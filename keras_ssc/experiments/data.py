"""The images of one run: a part of an image set, made smaller where that is asked for."""

import dataclasses

import numpy as np

from keras_ssc import datasets


def experiment_data(setting, data_dir=None, dataset=None):
    """Return the `Dataset` that a setting trains and tests on.

    Args:
        setting: `Setting`.
        data_dir: folder of prepared image sets, as for `keras_ssc.datasets.load`.
        dataset: str, another image set than the setting's, or None.

    Raises:
        ValueError: the images can't be averaged to that size, or there are too few.

    Example:

    >>> from keras_ssc.experiments.setting import Setting
    >>> setting = Setting("ResNet20", "digits", "dense", image_size=16, train_images=100)
    >>> experiment_data(setting).x_train.shape
    (100, 16, 16, 3)
    """
    data = datasets.load(dataset or setting.dataset, data_dir)
    x, y = data.x_train, data.y_train
    parts = {"x_test": data.x_test, "y_test": data.y_test}
    if setting.held_out:
        if setting.held_out + (setting.train_images or 1) > len(x):
            raise ValueError(
                f"`held_out` and `train_images` must fit into {len(x)} training images. "
                f"Received: {setting.held_out}, {setting.train_images}"
            )
        parts = {"x_test": x[-setting.held_out :], "y_test": y[-setting.held_out :]}
        x, y = x[: -setting.held_out], y[: -setting.held_out]
    x, y = x[: setting.train_images], y[: setting.train_images]
    chosen = balanced(y, setting.train_share)
    parts |= {"x_train": x[chosen], "y_train": y[chosen]}
    for name in ("x_train", "x_test"):
        parts[name] = averaged(parts[name], setting.image_size)
    return dataclasses.replace(data, **parts)


def balanced(labels, share):
    """Return the indices of the first `share` of each class, in order.

    Example:

    >>> balanced(np.array([0, 1, 0, 1, 1, 1]), 0.5).tolist()
    [0, 1, 3]
    """
    chosen = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        of_class = np.flatnonzero(labels == label)
        chosen[of_class[: round(share * len(of_class))]] = True
    return np.flatnonzero(chosen)


def averaged(images, size):
    """Return images of `size` x `size` pixels: means over squares, rounded.

    Example:

    >>> averaged(np.array([[[[1], [3]], [[5], [9]]]], "uint8"), 1).ravel().tolist()
    [4]
    """
    side = images.shape[1]
    if side % size:
        raise ValueError(f"`image_size` must divide {side}. Received: image_size={size}")
    if side == size:
        return images
    step = side // size
    squares = images.reshape(len(images), size, step, size, step, images.shape[-1])
    return np.rint(squares.mean(axis=(2, 4))).astype(images.dtype)
