"""`execution="dense"`: expand to (K, K, M, N) and run one ordinary convolution."""

from keras import ops

from keras_ssc.execution.expand import expand_kernel


def dense(x, weights, pattern, *, strides, padding, dilation_rate):
    """Convolve `x` (batch, height, width, M) with the expanded kernel.

    Args:
        x: tensor (batch, height, width, M), channels last.
        weights: list of tensors (positions, filters), one for each of `pattern.matrices`.
        pattern: SSCPattern.
        strides: (rows, columns).
        padding: `"same"` or `"valid"`.
        dilation_rate: (rows, columns).

    Returns:
        Tensor (batch, new height, new width, N).
    """
    return ops.conv(
        x,
        expand_kernel(weights, pattern),
        strides=strides,
        padding=padding,
        data_format="channels_last",
        dilation_rate=dilation_rate,
    )
