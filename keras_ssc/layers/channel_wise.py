"""Keras's layers around the sparse ones, as our networks have them: they keep an order of channels.

In a program that JAX traces for a GPU they work on channels in the order in which a native
convolution made them; see keras_ssc/native/channel_order.py. Elsewhere they are Keras's own, but
for BatchNormalization, which is the faster one of `FusedBatchNormalization`.
"""

import keras

from keras_ssc.layers.batch_normalization import FusedBatchNormalization
from keras_ssc.model_graph import ELEMENTWISE
from keras_ssc.native import channel_order, why_not_jax_primitives


def keras_class(layer):
    """Return the class of keras.layers that a layer stands for; its own if it is none of these.

    Example:

    >>> keras_class(ReLU()) is keras_class(keras.layers.ReLU()) is keras.layers.ReLU
    True
    """
    return _STANDS_FOR.get(type(layer), type(layer))


def keeping_class(layer):
    """Return the class of this module that stands for a layer of Keras; its own if there is none.

    Example:

    >>> keeping_class(keras.layers.ReLU()) is ReLU, keeping_class(keras.layers.Dense(1)).__name__
    (True, 'Dense')
    """
    return _KEEPING.get(type(layer), type(layer))


class _KeepsOrder:
    """Calls the layer on the ordered channels of what it is given, where there are any."""

    _is_pixel_wise = False  # whether it costs as much to call it again as to permute its result

    def call(self, inputs):
        if not self._treats_channels_alike():
            return super().call(inputs)
        if order := channel_order.order_of(inputs):
            y = super().call(channel_order.in_order(inputs, order))
            return channel_order.restored(y, order)
        y = super().call(inputs)
        if self._is_pixel_wise and channel_order.is_made_in_any_order(inputs):
            channel_order.can_be_made(
                y,
                lambda order: super(_KeepsOrder, self).call(channel_order.in_order(inputs, order)),
            )
        return y

    def _treats_channels_alike(self):
        return getattr(self, "data_format", "channels_last") == "channels_last"


@keras.saving.register_keras_serializable(package="keras_ssc")
class Activation(_KeepsOrder, keras.layers.Activation):
    """keras.layers.Activation, which keeps an order of channels.

    Example:

    >>> import numpy as np
    >>> Activation("relu")(np.zeros((1, 4, 4, 8), "float32")).shape == (1, 4, 4, 8)
    True
    """

    _is_pixel_wise = True

    def _treats_channels_alike(self):
        return keras.activations.serialize(self.activation) in ELEMENTWISE


@keras.saving.register_keras_serializable(package="keras_ssc")
class ReLU(_KeepsOrder, keras.layers.ReLU):
    """keras.layers.ReLU, which keeps an order of channels.

    Example:

    >>> import numpy as np
    >>> ReLU(6.0)(np.zeros((1, 4, 4, 8), "float32")).shape == (1, 4, 4, 8)
    True
    """

    _is_pixel_wise = True


@keras.saving.register_keras_serializable(package="keras_ssc")
class Add(keras.layers.Add):
    """keras.layers.Add, which keeps the order of channels of the first that has one.

    Example:

    >>> import numpy as np
    >>> x = np.zeros((1, 4, 4, 8), "float32")
    >>> Add()([x, x]).shape == (1, 4, 4, 8)
    True
    """

    def call(self, inputs):
        """Add them."""
        order = next(filter(None, map(channel_order.order_of, inputs)), None)
        if order is None or len({x.shape[-1] for x in inputs}) > 1:
            return super().call(inputs)
        y = super().call([channel_order.in_order(x, order) for x in inputs])
        return channel_order.restored(y, order)


@keras.saving.register_keras_serializable(package="keras_ssc")
class AveragePooling2D(_KeepsOrder, keras.layers.AveragePooling2D):
    """keras.layers.AveragePooling2D, which keeps an order of channels.

    Example:

    >>> import numpy as np
    >>> AveragePooling2D(2)(np.zeros((1, 4, 4, 8), "float32")).shape == (1, 2, 2, 8)
    True
    """


@keras.saving.register_keras_serializable(package="keras_ssc")
class GlobalAveragePooling2D(_KeepsOrder, keras.layers.GlobalAveragePooling2D):
    """keras.layers.GlobalAveragePooling2D, which takes channels in any order.

    Example:

    >>> import numpy as np
    >>> GlobalAveragePooling2D()(np.zeros((1, 4, 4, 8), "float32")).shape == (1, 8)
    True
    """


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

    A native convolution on a GPU behind it reads what it was given, and no padded map is written.

    Example:

    >>> import numpy as np
    >>> ZeroPadding2D(1)(np.zeros((1, 4, 4, 8), "float32")).shape == (1, 6, 6, 8)
    True
    """

    def call(self, inputs):
        """Put zeros around it."""
        y = super().call(inputs)
        if self._treats_channels_alike():
            channel_order.remember_padding(y, inputs, tuple(map(tuple, self.padding)))
        return y


@keras.saving.register_keras_serializable(package="keras_ssc", name="PlainBatchNormalization")
class BatchNormalization(FusedBatchNormalization):
    """keras.layers.BatchNormalization, computed as `FusedBatchNormalization` is.

    Example:

    >>> import numpy as np
    >>> BatchNormalization()(np.zeros((1, 4, 4, 8), "float32")).shape == (1, 4, 4, 8)
    True
    """

    def call(self, inputs, training=None, mask=None):
        """Normalise."""
        return super().call(inputs, training=training, mask=mask)

    def get_config(self):
        """Return the arguments, which are Keras's."""
        config = super().get_config()
        del config["activation"]
        return config


@keras.saving.register_keras_serializable(package="keras_ssc")
class Conv2D(keras.layers.Conv2D):
    """keras.layers.Conv2D, which takes channels in any order; that of images makes its own in any.

    Its kernel is permuted in place of the map.

    Example:

    >>> import numpy as np
    >>> Conv2D(3, 3)(np.zeros((1, 4, 4, 8), "float32")).shape == (1, 2, 2, 3)
    True
    """

    def call(self, inputs):
        """Convolve."""
        if not (channel_order.are_kept() and self._has_one_kernel()):
            return super().call(inputs)
        given = channel_order.order_of(inputs)

        def made(order):
            return self._on_ordered(channel_order.in_order(inputs, given), given, order)

        y = made(None) if given else super().call(inputs)
        # With an image's few channels it costs no more to convolve once more than to permute.
        few = inputs.shape[-1] <= 4
        if few and keras.activations.serialize(self.activation) in ELEMENTWISE:
            channel_order.can_be_made(y, made)
        return y

    def _has_one_kernel(self):
        plain = self.groups == 1 and self.data_format == "channels_last"
        return plain and not self.lora_enabled and self.quantization_mode is None

    def _on_ordered(self, x, given, order):
        """The output in `order` (None: its own) for an input in the order `given` (or None)."""
        by_input = keras.ops.swapaxes(keras.ops.convert_to_tensor(self.kernel), 2, 3)
        kernel = keras.ops.swapaxes(channel_order.in_order(by_input, given), 2, 3)
        y = self.convolution_op(x, channel_order.in_order(kernel, order))
        if self.use_bias:
            bias = keras.ops.convert_to_tensor(self.bias)
            y = keras.ops.add(y, channel_order.in_order(bias, order))
        return self.activation(y) if self.activation else y


_KEEPING = {
    keras.layers.Activation: Activation,
    keras.layers.Add: Add,
    keras.layers.AveragePooling2D: AveragePooling2D,
    keras.layers.BatchNormalization: BatchNormalization,
    keras.layers.Conv2D: Conv2D,
    keras.layers.GlobalAveragePooling2D: GlobalAveragePooling2D,
    keras.layers.MaxPooling2D: MaxPooling2D,
    keras.layers.ReLU: ReLU,
    keras.layers.ZeroPadding2D: ZeroPadding2D,
}
_STANDS_FOR = {ours: kind for kind, ours in _KEEPING.items()}
