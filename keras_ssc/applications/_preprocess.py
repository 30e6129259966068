"""Images from 0 to 255 brought to mean 0 and standard deviation 1, as in the networks' training."""

import keras

from keras_ssc.arguments import known
from keras_ssc.datasets.facts import FACTS
from keras_ssc.layers.arguments import data_format as check_format

# ImageNet under the name that the argument has.
_FACTS = {
    name.removesuffix("2012"): facts for name, facts in FACTS.items() if facts.mean is not None
}


def preprocess_input(x, data_format=None, dataset="cifar10"):
    """Return (x / 255 - mean) / deviation, colour by colour.

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
    mean, deviation = (
        keras.ops.reshape(keras.ops.convert_to_tensor(values, x.dtype), shape)
        for values in (_FACTS[dataset].mean, _FACTS[dataset].std)
    )
    return (x / 255 - mean) / deviation
