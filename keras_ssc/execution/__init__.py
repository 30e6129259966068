"""Ways to compute a Structured Sparse Convolution: arrays in, arrays out, all equal to rounding."""

from keras_ssc.execution.choose import EXECUTIONS, choose
from keras_ssc.execution.dense import dense
from keras_ssc.execution.expand import expand_kernel
from keras_ssc.execution.grouped import grouped
from keras_ssc.native import native

__all__ = ["EXECUTIONS", "choose", "convolve", "expand_kernel"]

_FORMS = {"dense": dense, "grouped": grouped, "native": native}


def convolve(x, weights, pattern, form, *, strides=(1, 1), padding="valid", dilation_rate=(1, 1)):
    """Return the convolution of `x` by the compact weights of a pattern.

    Args:
        x: tensor (batch, height, width, M), channels last.
        weights: list of tensors (positions, filters), one for each of `pattern.matrices`.
        pattern: SSCPattern.
        form: `"dense"`, `"grouped"` or `"native"`, as `choose` gave it.
        strides: (rows, columns).
        padding: `"same"` or `"valid"`.
        dilation_rate: (rows, columns).

    Returns:
        Tensor (batch, new height, new width, N).

    Example:

    >>> import numpy as np
    >>> from keras_ssc import SSCPattern
    >>> pattern = SSCPattern(in_channels=8, filters=4, g=4, p=3)
    >>> weights = [np.ones((len(i), len(n)), "float32") for _, i, n in pattern.matrices]
    >>> y = convolve(np.ones((1, 5, 5, 8), "float32"), weights, pattern, "grouped")
    >>> tuple(y.shape)
    (1, 3, 3, 4)
    """
    return _FORMS[form](
        x, weights, pattern, strides=strides, padding=padding, dilation_rate=dilation_rate
    )
