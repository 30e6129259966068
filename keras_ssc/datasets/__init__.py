"""Image sets as NumPy arrays, and batches of them: shuffled, augmented, normalised."""

from keras_ssc.arguments import boolean, known
from keras_ssc.datasets.batches import Batches
from keras_ssc.datasets.cifar import load_cifar10, load_cifar100
from keras_ssc.datasets.dataset import Dataset
from keras_ssc.datasets.digits import load_digits
from keras_ssc.datasets.packed import is_packed, read_packed
from keras_ssc.datasets.tiny_imagenet import load_tiny_imagenet

__all__ = ["Batches", "Dataset", "load", "names"]

_LOADERS = {
    "digits": load_digits,
    "cifar10": load_cifar10,
    "cifar100": load_cifar100,
    "tiny_imagenet": load_tiny_imagenet,
}


def names():
    """Return the names that `load` knows.

    Example:

    >>> names()
    ['digits', 'cifar10', 'cifar100', 'tiny_imagenet']
    """
    return list(_LOADERS)


def load(name, data_dir=None, download=False):
    """Return an image set.

    Args:
        name: `"digits"` (inside scikit-learn, no network), `"cifar10"`, `"cifar100"` (through
            tensorflow-datasets) or `"tiny_imagenet"` (likewise, from files that you have).
        data_dir: folder that holds the set packed (`keras_ssc.datasets.packed`), which needs no
            TensorFlow; or else in which tensorflow-datasets keeps its prepared sets; None is its
            own default.
        download: bool, whether `"cifar10"` or `"cifar100"` may be fetched from the internet where
            it is not there: by `keras.datasets`, and packed into `data_dir`.

    Returns:
        `Dataset`.

    Raises:
        ValueError: the name is unknown, or a file of a packed set is missing or damaged.
        ImportError: a package is missing; the message says what to install.
        FileNotFoundError: the set is not in `data_dir`, or can't be downloaded; the message says
            how to prepare it.

    Example:

    >>> digits = load("digits")
    >>> digits.x_train.shape, digits.x_train.dtype.name
    ((1437, 32, 32, 3), 'uint8')
    """
    known("name", name, _LOADERS)
    if is_packed(name, data_dir):
        return read_packed(name, data_dir)
    if boolean("download", download) and name not in ("cifar10", "cifar100", "digits"):
        raise ValueError(f"`download` is for CIFAR-10 and CIFAR-100. Received: name={name!r}")
    if download and name != "digits":
        return _LOADERS[name](data_dir, download)
    return _LOADERS[name](data_dir)
