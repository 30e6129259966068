"""The images of one run: a part of an image set, made smaller where that is asked for."""

import dataclasses

import numpy as np

from keras_ssc import datasets
from keras_ssc.datasets.facts import FACTS
from keras_ssc.datasets.imagenet import ImageNet

# Pixels a side, and training images. "tiny_imagenet_100": the paper names no classes; here every
# second one.
SIDES = {name: facts.side for name, facts in FACTS.items()} | {"tiny_imagenet_100": 64}
IMAGES = {name: facts.train_images for name, facts in FACTS.items()} | {"tiny_imagenet_100": 50_000}
VALIDATION = 5000


def experiment_data(setting, data_dir=None):
    """Return the `Dataset` that a setting trains and tests on, or the `ImageNet`.

    Args:
        setting: `Setting`.
        data_dir: folder of prepared image sets, as for `keras_ssc.datasets.load`.

    Raises:
        ValueError: the images can't be averaged to that size, or there are too few.

    Example:

    >>> from paper.setting import Setting
    >>> setting = Setting("ResNet20", "digits", "dense", image_size=16, train_images=100)
    >>> experiment_data(setting).x_train.shape
    (100, 16, 16, 3)
    """
    if setting.dataset == "imagenet2012":
        if setting.train_share != 1:
            raise ValueError(
                f"`train_share` must be 1 for imagenet2012. Received: {setting.train_share}"
            )
        return ImageNet(data_dir, setting.train_images, setting.held_out)
    data = all_images(setting, data_dir)
    x, y = data.x_train, data.y_train
    if setting.held_out + (setting.train_images or 1) > len(x):
        raise ValueError(
            f"`held_out` and `train_images` must fit into {len(x)} training images. "
            f"Received: {setting.held_out}, {setting.train_images}"
        )
    parts = {"x_test": data.x_test, "y_test": data.y_test}
    if setting.held_out:
        parts = {"x_test": x[-setting.held_out :], "y_test": y[-setting.held_out :]}
        x, y = x[: -setting.held_out], y[: -setting.held_out]
    x, y = x[: setting.train_images], y[: setting.train_images]
    chosen = balanced(y, setting.train_share)
    parts |= {"x_train": x[chosen], "y_train": y[chosen]}
    for name in ("x_train", "x_test"):
        parts[name] = averaged(parts[name], setting.image_size)
    return dataclasses.replace(data, **parts)


def all_images(setting, data_dir=None):
    """Return the `Dataset` that a setting takes its images from, as it is on this machine."""
    if setting.dataset == "tiny_imagenet_100":
        return every_second_class(datasets.load("tiny_imagenet", data_dir))
    return datasets.load(setting.dataset, data_dir)


def validation_data(setting, data_dir=None):
    """Return (images, labels) that choose an epoch; None where a run trains on all that there are.

    They are the last `VALIDATION` training images, or as many as the setting leaves. A setting with
    `held_out` is tested on such images, and has no others.

    Example:

    >>> from paper.setting import Setting
    >>> setting = Setting("ResNet20", "digits", "dense", image_size=16, train_images=1000)
    >>> validation_data(setting)[0].shape
    (437, 16, 16, 3)
    """
    if setting.held_out or not setting.train_images or setting.dataset == "imagenet2012":
        return None
    left = len(all_images(setting, data_dir).x_train) - setting.train_images
    if left < 1:
        return None
    last = dataclasses.replace(setting, held_out=min(VALIDATION, left), train_images=1)
    data = experiment_data(last, data_dir)
    return data.x_test, data.y_test


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


def every_second_class(data):
    """Return a 200-class `Dataset` with its classes 0, 2, 4 ...; one of 100 classes as it is."""
    if data.classes == 100:
        return data
    if data.classes != 200:
        raise ValueError(f"`data` must have 200 or 100 classes. Received: {data.classes}")
    parts = {}
    for part in ("train", "test"):
        x, y = getattr(data, f"x_{part}"), getattr(data, f"y_{part}")
        parts |= {f"x_{part}": x[y % 2 == 0], f"y_{part}": y[y % 2 == 0] // 2}
    return dataclasses.replace(data, class_names=data.class_names[::2], **parts)


def source_setting(setting):
    """Return the setting whose images score the masks: `mask_dataset`, at the same scale.

    Example:

    >>> from paper.setting import Setting
    >>> setting = Setting(
    ...     "ResNet20", "tiny_imagenet", "GraSP", image_size=32, mask_dataset="cifar100")
    >>> source_setting(setting).dataset, source_setting(setting).image_size
    ('cifar100', 16)
    """
    size = setting.image_size * SIDES[setting.mask_dataset] // SIDES[setting.dataset]
    return dataclasses.replace(
        setting, dataset=setting.mask_dataset, image_size=size, mask_dataset=None
    )


def image_count(setting):
    """Return how many images an epoch of a setting trains on, without loading them.

    Example:

    >>> from paper.setting import Setting
    >>> image_count(Setting("VGG19", "cifar10", "dense", train_share=0.5, held_out=5000))
    22500
    """
    images = IMAGES[setting.dataset] - setting.held_out
    return round(setting.train_share * min(setting.train_images or images, images))
