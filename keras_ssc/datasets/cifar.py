"""CIFAR-10 and CIFAR-100: prepared by tensorflow-datasets' builders, or fetched by Keras."""

import keras

from keras_ssc.datasets.dataset import Dataset
from keras_ssc.datasets.facts import FACTS
from keras_ssc.datasets.packed import pack
from keras_ssc.datasets.prepare.cifar_classes import CIFAR10, CIFAR100
from keras_ssc.datasets.prepared import check_prepared, prepared_builder

_NAMES = {"cifar10": CIFAR10, "cifar100": CIFAR100}

_HOW = """\
From images on this machine: python applications/prepare_dataset.py --dataset {name} \
--images FOLDER --data-dir FOLDER. From the internet: the same with --download in place of \
--images FOLDER, or keras_ssc.datasets.load({name!r}, data_dir, download=True)"""


def load_cifar10(data_dir=None, download=False):
    """Return CIFAR-10: 50,000 training and 10,000 test images of 32x32x3 in 10 classes.

    Args:
        data_dir: folder of tensorflow-datasets, or None for its default.
        download: bool, whether a set that is not prepared may be fetched from the internet, which
            needs no tensorflow-datasets.

    Raises:
        ImportError: tensorflow-datasets is missing.
        FileNotFoundError: the set is not prepared in `data_dir`, or can't be downloaded.
        ValueError: the prepared files can't be read.

    Example:

        dataset = load_cifar10(data_dir="~/tensorflow_datasets")

    Reference: Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.
    """
    return _load("cifar10", data_dir, download)


def load_cifar100(data_dir=None, download=False):
    """Return CIFAR-100 with its 100 fine labels. Otherwise as `load_cifar10`.

    Example:

        dataset = load_cifar100(data_dir="~/tensorflow_datasets")
    """
    return _load("cifar100", data_dir, download)


def _load(name, data_dir, download):
    how = _HOW.format(name=name)
    if download:
        try:
            check_prepared(name, data_dir, how)
        except FileNotFoundError:
            return download_cifar(name, data_dir)
    builder = prepared_builder(name, data_dir, how)
    try:
        (x_train, y_train), (x_test, y_test) = (_arrays(builder, one) for one in ("train", "test"))
    except Exception as error:
        raise ValueError(
            f"The prepared files of {name} in {str(builder.data_dir)!r} can't be read; they may be "
            f"truncated or foreign. Remove that folder and prepare it anew. ({error})"
        ) from error
    names = builder.info.features["label"].names
    return _dataset(name, x_train, y_train, x_test, y_test, names)


def download_cifar(name, data_dir=None):
    """Fetch a set from the internet by `keras.datasets`, and pack it into a folder.

    Args:
        name: `"cifar10"` or `"cifar100"`.
        data_dir: folder, in which `load` finds the set afterwards; None: Keras keeps what it
            fetched in its own folder, and nothing is packed.

    Returns:
        `Dataset`.

    Raises:
        FileNotFoundError: it can't be fetched.
        FileExistsError: it is packed there already.

    Example:

        download_cifar("cifar10", "~/images")
    """
    try:
        (x_train, y_train), (x_test, y_test) = getattr(keras.datasets, name).load_data()
    except Exception as error:
        raise FileNotFoundError(
            f"{name} could not be downloaded ({type(error).__name__}: {error}). "
            + _HOW.format(name=name)
        ) from error
    labels = [y.reshape(-1).astype("int32") for y in (y_train, y_test)]
    dataset = _dataset(name, x_train, labels[0], x_test, labels[1], _NAMES[name])
    if data_dir is not None:
        pack(dataset, [data_dir])
    return dataset


def _dataset(name, x_train, y_train, x_test, y_test, class_names):
    facts = FACTS[name]
    return Dataset(
        name=name,
        x_train=x_train,
        y_train=y_train,
        x_test=x_test,
        y_test=y_test,
        class_names=tuple(class_names),
        mean=facts.mean,
        std=facts.std,
        flip=facts.flip,
    )


def _arrays(builder, split):
    """(uint8 images, int32 labels) of one split, in the order of its files."""
    import tensorflow_datasets as tfds

    examples = tfds.as_numpy(builder.as_dataset(split=split, batch_size=-1, shuffle_files=False))
    return examples["image"], examples["label"].astype("int32")
