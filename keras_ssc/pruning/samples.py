"""The images that SNIP and GraSP look at."""

import keras
import numpy as np

from keras_ssc.arguments import integer


def samples_per_class(images, labels, count, seed=0):
    """Return `count` images of each class, drawn at random, in random order.

    Args:
        images: array (images, ...).
        labels: int array (images,) or (images, 1).
        count: int, images of each class.
        seed: int.

    Returns:
        (images, labels), drawn without repetition.

    Raises:
        ValueError: images and labels are not as many, or a class has too few images.

    Example:

    >>> images, labels = np.zeros((20, 4, 4, 3)), np.arange(20) % 2
    >>> few, few_labels = samples_per_class(images, labels, 3)
    >>> few.shape, int(few_labels.sum())
    ((6, 4, 4, 3), 3)

    Reference: GraSP takes 10 images of each class (Wang et al., arXiv 2002.07376).
    """
    count = integer("count", count, 1)
    check_samples(images, labels)
    random = np.random.default_rng(integer("seed", seed, 0))
    flat = np.reshape(labels, -1)
    if len(flat) != len(images):
        raise ValueError(f"`labels` must be one number each. Received: shape {np.shape(labels)}")
    chosen = []
    for label in np.unique(flat):
        places = np.flatnonzero(flat == label)
        if len(places) < count:
            raise ValueError(
                f"`count` must be at most the images of each class: class {label} has "
                f"{len(places)}. Received: count={count}"
            )
        chosen.append(random.choice(places, count, replace=False))
    chosen = random.permutation(np.concatenate(chosen))
    return np.asarray(images)[chosen], np.asarray(labels)[chosen]


def mean_over_batches(function, images, labels, batch_size=None):
    """Return the mean of the arrays that a function gives for each batch, weighted by its images.

    Args:
        function: (images, labels) -> list of tensors.
        images, labels: arrays.
        batch_size: int; None: one batch of all.

    Example:

    >>> mean_over_batches(lambda x, y: [np.mean(x)], np.arange(4.0), np.zeros(4), 3)
    [np.float64(1.5)]
    """
    check_samples(images, labels)
    size = len(images) if batch_size is None else integer("batch_size", batch_size, 1)
    means = None
    for start in range(0, len(images), size):
        x, y = images[start : start + size], labels[start : start + size]
        share = len(x) / len(images)
        parts = [share * np.asarray(keras.ops.convert_to_numpy(part)) for part in function(x, y)]
        means = parts if means is None else [a + b for a, b in zip(means, parts, strict=True)]
    return means


def check_samples(images, labels):
    """Refuse what is not one label for each image."""
    for name, value in (("images", images), ("labels", labels)):
        if not np.ndim(value):
            raise TypeError(f"`{name}` must be an array. Received: {name}={value!r}")
    if len(images) != len(labels) or not len(images):
        raise ValueError(
            "`images` and `labels` must be as many, and at least one. "
            f"Received: {len(images)} images, {len(labels)} labels"
        )
