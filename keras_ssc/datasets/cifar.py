"""CIFAR-10 and CIFAR-100 through tensorflow-datasets' own builders."""

from keras_ssc.datasets.dataset import Dataset
from keras_ssc.datasets.facts import FACTS
from keras_ssc.datasets.prepared import prepared_builder

_HOW = """\
From images on this machine: python applications/prepare_dataset.py --dataset {name} \
--images FOLDER --data-dir FOLDER. From the internet: the same with --download in place of \
--images FOLDER, or keras_ssc.datasets.load({name!r}, data_dir, download=True)"""


def load_cifar10(data_dir=None, download=False):
    """Return CIFAR-10: 50,000 training and 10,000 test images of 32x32x3 in 10 classes.

    Args:
        data_dir: folder of tensorflow-datasets, or None for its default.
        download: bool, whether a set that is not prepared may be fetched from the internet.

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
    if download:
        download_cifar(name, data_dir)
    builder = prepared_builder(name, data_dir, _HOW.format(name=name))
    try:
        parts = [_arrays(builder, split) for split in ("train", "test")]
    except Exception as error:
        raise ValueError(
            f"The prepared files of {name} in {str(builder.data_dir)!r} can't be read; they may be "
            f"truncated or foreign. Remove that folder and prepare it anew. ({error})"
        ) from error
    (x_train, y_train), (x_test, y_test) = parts
    return Dataset(
        name=name,
        x_train=x_train,
        y_train=y_train,
        x_test=x_test,
        y_test=y_test,
        class_names=tuple(builder.info.features["label"].names),
        mean=FACTS[name].mean,
        std=FACTS[name].std,
        flip=FACTS[name].flip,
    )


def download_cifar(name, data_dir=None):
    """Fetch a set from the internet, unless it is prepared; return its folder.

    Args:
        name: `"cifar10"` or `"cifar100"`.
        data_dir: folder of tensorflow-datasets, or None for its default.

    Raises:
        ImportError: tensorflow-datasets is missing.
        FileNotFoundError: it can't be fetched.

    Example:

        download_cifar("cifar10", "~/tensorflow_datasets")
    """
    builder = _builder(name, data_dir)
    try:
        builder.download_and_prepare()
    except Exception as error:
        raise FileNotFoundError(
            f"{name} could not be downloaded ({type(error).__name__}: {error}). "
            + _HOW.format(name=name)
        ) from error
    return builder.data_dir


def _builder(name, data_dir):
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise ImportError(
            f'{name} needs tensorflow and tensorflow-datasets: pip install "keras-ssc[train]"'
        ) from error
    return tfds.builder(name, data_dir=data_dir)


def _arrays(builder, split):
    """(uint8 images, int32 labels) of one split, in the order of its files."""
    import tensorflow_datasets as tfds

    examples = tfds.as_numpy(builder.as_dataset(split=split, batch_size=-1, shuffle_files=False))
    return examples["image"], examples["label"].astype("int32")
