"""Images on which an 8 bit file learns the ranges of its activations."""

import dataclasses
from pathlib import Path

import numpy as np


def calibration_images(source, limit=256, data_dir=None, size=224):
    """Return images as a model takes them, from a file, a folder or a data set; None for None.

    Args:
        source: path of a .npy file, or of a .npz file with one array or one called `images` or
            `x_train`: taken as they are, so preprocessed as for the model. Or a name that
            `keras_ssc.datasets.load` knows, or a folder of images, as for `keras-ssc train`:
            training images, normalised as in training; of a folder, centre crops.
        limit: int > 0, the most images: evenly spread over those there are.
        data_dir: as for `keras_ssc.datasets.load`.
        size: int, height and width of the crops of a folder.

    Raises:
        ValueError: the file holds no such array, the name is unknown, or images are damaged.
        FileNotFoundError: there is no such file.

    Example:

    >>> np.save("images.npy", np.zeros((300, 8, 8, 3), "float32"))
    >>> calibration_images("images.npy", 100).shape
    (100, 8, 8, 3)
    """
    if source is None:
        return None
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        raise ValueError(f"`limit` must be a positive integer. Received: limit={limit!r}")
    if Path(source).suffix in (".npy", ".npz"):
        return _spread(_read(source), limit)
    from keras_ssc.datasets import Batches, load, names

    if source not in names() and Path(source).expanduser().is_dir():
        return _of_folder(source, limit, size)
    dataset = load(source, data_dir)
    images, labels = _spread(dataset.x_train, limit), _spread(dataset.y_train, limit)
    return Batches(images, labels, len(images), mean=dataset.mean, std=dataset.std)[0][0]


def _of_folder(folder, limit, size):
    """Centre crops of the first training images, in an order drawn by chance."""
    from keras_ssc.datasets.sources import check_images, folder_sources
    from keras_ssc.datasets.streaming import Stream

    source = folder_sources(folder)[0]
    source = dataclasses.replace(source, count=min(limit, source.count))
    check_images(source)
    return next(iter(Stream(source, size=size, batch_size=source.count)))[0].numpy()


def _read(source):
    try:
        found = np.load(source, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise ValueError(f"`source` can't be read as NumPy arrays: {source}: {error}") from error
    if isinstance(found, np.ndarray):
        return found
    names = [name for name in ("images", "x_train") if name in found.files] or found.files
    if len(names) != 1:
        raise ValueError(
            f"`source` must hold one array, or one called images or x_train. Received: {source} "
            f"with {found.files}"
        )
    return found[names[0]]


def _spread(array, limit):
    return array[np.linspace(0, len(array) - 1, min(limit, len(array))).astype(int)]
