"""Ways to compute a Structured Sparse Convolution: arrays in, arrays out, all equal to rounding."""

from keras import ops

from keras_ssc.execution._choose import EXECUTIONS, choose
from keras_ssc.execution._dense import dense
from keras_ssc.execution._gather import gather
from keras_ssc.execution._grouped import grouped
from keras_ssc.execution.expand import expand_kernel
from keras_ssc.execution.report import execution_report
from keras_ssc.native import channel_order, native

__all__ = ["EXECUTIONS", "choose", "convolve", "execution_report", "expand_kernel"]

_FORMS = {"dense": dense, "grouped": grouped, "gather": gather}


def convolve(
    x,
    weights,
    pattern,
    form,
    *,
    strides=(1, 1),
    padding="valid",
    dilation_rate=(1, 1),
    bias=None,
    residual=None,
    relu=False,
):
    """Return the convolution of `x` by the compact weights of a pattern, and what follows it.

        y = relu(convolution + bias + residual)

    Args:
        x: tensor (batch, height, width, M), channels last.
        weights: list of tensors (positions, filters), one for each of `pattern.matrices`.
        pattern: SSCPattern.
        form: `"dense"`, `"grouped"`, `"gather"` or `"native"`, as `choose` gave it.
        strides: (rows, columns).
        padding: `"same"` or `"valid"`.
        dilation_rate: (rows, columns).
        bias: tensor (N,) to add, or None.
        residual: tensor like the output to add, or None.
        relu: bool, whether what is negative becomes zero.

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
    geometry = {"strides": strides, "padding": padding, "dilation_rate": dilation_rate}
    if x.shape[0] == 0:  # TensorFlow with oneDNN gives an empty batch the wrong shape
        one = ops.zeros((1, *ops.shape(x)[1:]), x.dtype)
        return convolve(one, weights, pattern, form, **geometry, bias=bias, relu=relu)[:0]
    if form == "native":
        return native(x, weights, pattern, **geometry, bias=bias, residual=residual, relu=relu)

    y = _completed(_FORMS[form](x, weights, pattern, **geometry), bias, residual, relu)
    if form == "dense" and residual is None and max(pattern.kernel_size) == 1:
        # Little work: whoever reads the channels in another order had rather have them made in it.
        def made(order):
            y = dense(x, weights, pattern, **geometry, outputs=order)
            in_order = None if bias is None else channel_order.in_order(bias, order)
            return _completed(y, in_order, None, relu)

        channel_order.can_be_made(y, made)
    return y


def _completed(y, bias, residual, relu):
    if bias is not None:
        y = ops.add(y, bias)
    if residual is not None:
        y = ops.add(y, residual)
    return ops.relu(y) if relu else y
