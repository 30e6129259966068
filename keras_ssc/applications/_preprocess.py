"""Images before a network, and scores after it, as in keras.applications."""

import keras
import numpy as np

from keras_ssc.arguments import integer, known
from keras_ssc.datasets.facts import FACTS
from keras_ssc.datasets.prepare.cifar_classes import CIFAR10, CIFAR100
from keras_ssc.layers.arguments import data_format as check_format

# ImageNet under the name that the argument has.
_FACTS = {
    name.removesuffix("2012"): facts for name, facts in FACTS.items() if facts.mean is not None
}

CLASS_NAMES = {"cifar10": CIFAR10, "cifar100": CIFAR100}


def preprocess_input(x, data_format=None, dataset="cifar10"):
    """Return (x / 255 - mean) / std, colour by colour.

    Args:
        x: float or uint8 array or tensor of RGB images, 0 to 255, colours last or, for
            channels_first, third from the end.
        data_format: `"channels_last"`, `"channels_first"` or None (Keras's setting).
        dataset: `"cifar10"`, `"cifar100"`, `"tiny_imagenet"` or `"imagenet"`.

    Returns:
        Float tensor of the shape of x.

    Raises:
        ValueError: the data set or the data format is unknown.

    Example:

    >>> import numpy as np
    >>> white = preprocess_input(np.full((1, 8, 8, 3), 255, "uint8"))
    >>> [round(float(value), 2) for value in white[0, 0, 0]]
    [2.51, 2.6, 2.75]

    Reference: GraSP's code.
    """
    known("dataset", dataset, _FACTS)
    data_format = check_format(data_format)
    x = keras.ops.convert_to_tensor(x)
    if "float" not in keras.backend.standardize_dtype(x.dtype):
        x = keras.ops.cast(x, keras.config.floatx())
    shape = (3,) if data_format == "channels_last" else (3, 1, 1)
    mean, std = (
        keras.ops.reshape(keras.ops.convert_to_tensor(values, x.dtype), shape)
        for values in (_FACTS[dataset].mean, _FACTS[dataset].std)
    )
    return (x / 255 - mean) / std


def decode_predictions(preds, top=5, dataset="cifar10"):
    """Return the likeliest classes of each image with their names.

    Args:
        preds: float array or tensor (images, classes), a network's outputs.
        top: int >= 1, how many classes of each image.
        dataset: `"cifar10"` or `"cifar100"`.

    Returns:
        List, for each image, of lists of (label, name, score), the highest score first.

    Raises:
        ValueError: the data set is unknown, or has another number of classes than `preds`.

    Example:

    >>> decode_predictions(np.eye(10)[[3]], top=1)
    [[(3, 'cat', 1.0)]]

    Reference: keras.applications.
    """
    known("dataset", dataset, CLASS_NAMES)
    integer("top", top, 1)
    names = CLASS_NAMES[dataset]
    scores = keras.ops.convert_to_numpy(preds)
    if scores.ndim != 2 or scores.shape[1] != len(names):
        raise ValueError(
            f"`preds` must be of shape (images, {len(names)}) for {dataset!r}. "
            f"Received: preds of shape {scores.shape}"
        )
    order = np.argsort(-scores, axis=1, kind="stable")[:, :top]
    return [
        [(int(label), names[label], float(row[label])) for label in best]
        for row, best in zip(scores, order, strict=True)
    ]
