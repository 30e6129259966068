"""The native convolution in a program that is traced for a GPU: it keeps orders of channels."""

import dataclasses

import jax

from keras_ssc.native import channel_order, jax_convolution
from keras_ssc.native.gpu import order


def convolve(x, weights, geometry, bias, residual, relu):
    """Return relu(conv(x, weights) + bias + residual), and remember in which order it was made.

    Args: as for `jax_convolution.convolve`; `geometry` has no orders.
    """
    traced = any(isinstance(array, jax.core.Tracer) for array in (x, *weights))
    if not (traced and channel_order.are_kept()):
        return jax_convolution.convolve(x, weights, geometry, bias, residual, relu)
    padding, before = geometry.padding, channel_order.before_padding(x)
    if before and padding == "valid":
        x, padding = before
    inputs, outputs = order.orders(geometry.pattern, channel_order.order_of(x))
    geometry = dataclasses.replace(geometry, padding=padding, inputs=inputs, outputs=outputs)
    y = jax_convolution.convolve(
        channel_order.in_order(x, inputs),
        weights,
        geometry,
        None if bias is None else channel_order.in_order(bias, outputs),
        None if residual is None else channel_order.in_order(residual, outputs),
        relu,
    )
    return channel_order.restored(y, outputs)
