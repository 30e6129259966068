"""Keras's layers that treat channels alike, as the networks have them: they keep an order.

In a program that JAX traces for a GPU they work on channels in the order in which a native
convolution made them; see keras_ssc/native/channel_order.py. Elsewhere they are Keras's own.
"""

import keras

from keras_ssc.native import channel_order, why_not_jax_primitives


class _KeepsOrder:
    """Calls the layer on the ordered channels of what it is given, where there are any."""

    def call(self, inputs):
        order = channel_order.order_of(inputs)
        if order is None or self.data_format != "channels_last":
            return super().call(inputs)
        return channel_order.restored(super().call(channel_order.in_order(inputs, order)), order)


class _MaxPooling2D(keras.layers.MaxPooling2D):
    def call(self, inputs):
        if why_not_jax_primitives() or self.data_format != "channels_last":
            return super().call(inputs)
        from keras_ssc.native import jax_pooling

        x = keras.ops.convert_to_tensor(inputs)
        return jax_pooling.max_pool(x, self.pool_size, self.strides, self.padding)


@keras.saving.register_keras_serializable(package="keras_ssc")
class MaxPooling2D(_KeepsOrder, _MaxPooling2D):
    """keras.layers.MaxPooling2D, which keeps an order of channels.

    On JAX its gradient is a sum where Keras's is a scatter; see keras_ssc/native/jax_pooling.py.

    Example:

    >>> import numpy as np
    >>> MaxPooling2D(2)(np.zeros((1, 4, 4, 8), "float32")).shape == (1, 2, 2, 8)
    True
    """


@keras.saving.register_keras_serializable(package="keras_ssc")
class ZeroPadding2D(_KeepsOrder, keras.layers.ZeroPadding2D):
    """keras.layers.ZeroPadding2D, which keeps an order of channels.

    Example:

    >>> import numpy as np
    >>> ZeroPadding2D(1)(np.zeros((1, 4, 4, 8), "float32")).shape == (1, 6, 6, 8)
    True
    """
