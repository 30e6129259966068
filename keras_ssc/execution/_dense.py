"""`execution="dense"`: expand to (K, K, M, N) and run one ordinary convolution."""

from keras import ops

from keras_ssc.execution.expand import expand_kernel
from keras_ssc.native import channel_order


def dense(x, weights, pattern, *, strides, padding, dilation_rate, outputs=None):
    """Convolve `x` (batch, height, width, M) with the expanded kernel.

    Where the channels of `x` were made in another order (in a program for a GPU), the kernel's rows
    are brought into that order, not the channels out of it.

    Args:
        x: tensor (batch, height, width, M), channels last.
        weights: list of tensors (positions, filters), one for each of `pattern.matrices`.
        pattern: SSCPattern.
        strides: (rows, columns).
        padding: `"same"` or `"valid"`.
        dilation_rate: (rows, columns).
        outputs: channel_order.Order of the result's channels, or None: their own.

    Returns:
        Tensor (batch, new height, new width, N).
    """
    kernel, order = expand_kernel(weights, pattern), channel_order.order_of(x)
    if order:
        x, kernel = channel_order.in_order(x, order), kernel[:, :, order.channels]
    if outputs:
        kernel = kernel[..., outputs.channels]
    geometry = {"strides": strides, "padding": padding, "dilation_rate": dilation_rate}
    return ops.conv(x, kernel, data_format="channels_last", **geometry)
