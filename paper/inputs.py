"""What a network is fed: batches to train and test on, and the few images that scores look at."""

import numpy as np

from keras_ssc import pruning
from keras_ssc.datasets import Batches
from keras_ssc.datasets.imagenet import ImageNet

SAMPLES_PER_CLASS = 10


def images_per_class(setting):
    """Return how many images of a class the scores look at: 10, of ImageNet's 1000 classes one."""
    return 1 if setting.dataset == "imagenet2012" else SAMPLES_PER_CLASS


def sampled(setting, data, per_class=None):
    """Return (images, labels) as the network takes them, drawn from the training images.

    Args:
        setting: `Setting`.
        data: what `experiment_data` gave.
        per_class: int, images of each class, fewer where there are fewer; of ImageNet so many
            for each class, drawn from all together. None: all images, in order.
    """
    if isinstance(data, ImageNet):
        images = min(per_class * data.classes, data.train_count)
        return data.sampled(images, setting.image_size, setting.seed)
    x, y = data.x_train, data.y_train
    if per_class:
        fewest = np.unique(y, return_counts=True)[1].min()
        x, y = pruning.samples_per_class(x, y, min(per_class, int(fewest)), setting.seed)
    return Batches(x, y, len(x), mean=data.mean, std=data.std)[0]


def training_batches(setting, data):
    """Return what `fit` trains on: shuffled, augmented, with a length."""
    if isinstance(data, ImageNet):
        return data.training_batches(setting.batch_size, setting.image_size, setting.seed)
    return Batches(
        data.x_train,
        data.y_train,
        setting.batch_size,
        mean=data.mean,
        std=data.std,
        classes=data.classes,
        augment=True,
        flip=data.flip,
        pad=setting.image_size // 8,
        shuffle=True,
        seed=setting.seed,
    )


def validation_batches(data, validation):
    """Return what chooses an epoch, of the images of `validation_data`.

    Args:
        data: what `experiment_data` gave.
        validation: (images, labels).
    """
    common = {"mean": data.mean, "std": data.std, "classes": data.classes}
    return Batches(*validation, 500, **common)


def test_batches(setting, data):
    """Return what a network is tested on."""
    if isinstance(data, ImageNet):
        return data.test_batches(min(500, setting.batch_size), setting.image_size)
    common = {"mean": data.mean, "std": data.std, "classes": data.classes}
    return Batches(data.x_test, data.y_test, 500, **common)


def steps_per_epoch(setting, data):
    """Return the optimizer's steps in an epoch."""
    images = data.train_count if isinstance(data, ImageNet) else len(data.x_train)
    return -(-images // setting.batch_size)


def drop_shares(setting):
    """Return the shares of the training after which the learning rate drops (GraSP's recipe)."""
    return (1 / 3, 2 / 3) if setting.dataset == "imagenet2012" else (0.5, 0.75)
