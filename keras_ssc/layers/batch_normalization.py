"""Batch normalisation with the residual sum and the ReLU that follow it, in one layer."""

import keras

from keras_ssc.arguments import one_of
from keras_ssc.native import (
    accelerator,
    batch_norm,
    channel_order,
    normalize,
    why_not_jax_primitives,
    why_not_native_operations,
)


@keras.saving.register_keras_serializable(package="keras_ssc", name="BatchNormalization")
class FusedBatchNormalization(keras.layers.BatchNormalization):
    """Keras's BatchNormalization with an optional residual sum and ReLU behind it.

        y = activation(gamma * (x - mean) / sqrt(variance + epsilon) + beta + residual)

    Values, gradients, moving statistics, names of variables and weights files are those of
    keras.layers.BatchNormalization, keras.layers.Add and ReLU. On CPU, in float32, the native
    operations pass over the activations as few times as can be; so does the training step that JAX
    compiles for a GPU. Elsewhere (bfloat16 on CPU, TensorFlow's XLA and GPU, exported files)
    Keras's own operations compute.
    In a network that JAX compiles for a GPU it keeps the order in which the native convolutions
    make their channels.

    Args:
        *args: as for keras.layers.BatchNormalization.
        activation: `"relu"` or None.
        **kwargs: as for keras.layers.BatchNormalization.

    Call arguments:
        inputs: tensor (batch, ..., channels).
        residual: tensor like `inputs` that is added before the activation, or None.
        training: bool; True: the moments of the batch, and the moving ones are updated.
        mask: as for keras.layers.BatchNormalization.

    Raises:
        ValueError: `activation` is something else.

    Example:

    >>> import numpy as np
    >>> x = np.ones((2, 4, 4, 8), "float32")
    >>> layer = keras_ssc.layers.FusedBatchNormalization(activation="relu")
    >>> layer(x, residual=x).shape == x.shape
    True

    Reference: Ioffe and Szegedy, "Batch Normalization"; He et al., "Deep Residual Learning".
    """

    def __init__(self, *args, activation: str | None = None, **kwargs):
        super().__init__(*args, **kwargs)
        if activation is not None:
            activation = one_of("activation", activation, ("relu",))
        self.activation = activation

    def call(self, inputs, residual=None, training=None, mask=None):
        """Normalise, add, cut at zero."""
        if not self._is_by_last_axis(inputs):
            return self._normalized(inputs, residual, training, mask)
        order = channel_order.order_of(inputs)
        if order is None:
            y = self._normalized(inputs, residual, training, mask)
            if residual is None and not training and channel_order.is_made_in_any_order(inputs):

                def made(order):
                    x = channel_order.in_order(inputs, order)
                    return self._normalized(x, None, training, mask, order)

                channel_order.can_be_made(y, made)
            return y
        # While JAX traces a program for a GPU: see keras_ssc/native/channel_order.py.
        x = channel_order.in_order(inputs, order)
        if residual is not None:
            residual = channel_order.in_order(residual, order)
        return channel_order.restored(self._normalized(x, residual, training, mask, order), order)

    def _normalized(self, inputs, residual, training, mask, order=None):
        relu, of_batch = self.activation == "relu", training and self.trainable
        why_not = self._why_not_native(inputs, mask)
        # On a CPU XLA is slower by our formulas: ResNet32's step in bfloat16 by a sixth.
        if of_batch and why_not and accelerator() and not self._why_not_fused(inputs, mask):
            why_not = why_not_jax_primitives()
        if why_not:
            by_keras = self._by_keras if order is None else self._by_keras_in_order
            return by_keras(inputs, residual, training, mask, order)
        x = keras.ops.convert_to_tensor(inputs)
        scale, offset = (_in_order(one, order) for one in (self.gamma, self.beta))
        if of_batch:
            y, *now = batch_norm(x, scale, offset, residual, relu=relu, epsilon=self.epsilon)
            for moving, new in zip((self.moving_mean, self.moving_variance), now, strict=True):
                new = new if order is None else channel_order.in_order(new, order.inverse)
                before = keras.ops.cast(moving, new.dtype)
                moving.assign(before * self.momentum + new * (1 - self.momentum))
            return y
        moving = (_in_order(one, order) for one in (self.moving_mean, self.moving_variance))
        return normalize(x, scale, offset, *moving, residual, relu=relu, epsilon=self.epsilon)

    def _by_keras(self, inputs, residual, training, mask, order=None):
        """By Keras's own operations."""
        y = super().call(inputs, training=training, mask=mask)
        if residual is not None:
            y = keras.ops.add(y, residual)
        return keras.ops.relu(y) if self.activation == "relu" else y

    def _by_keras_in_order(self, inputs, residual, training, mask, order):
        """The same on channels in another order, and vectors in it."""
        vectors = [(one, channel_order.in_order(one.value, order)) for one in self.variables]
        with keras.StatelessScope(vectors) as scope:
            y = self._by_keras(inputs, residual, training, mask)
        for variable, before in vectors:
            after = scope.get_current_value(variable)
            if after is not before:  # a moving statistic
                variable.assign(channel_order.in_order(after, order.inverse))
        return y

    def _is_by_last_axis(self, inputs):
        return self.axis in (-1, len(inputs.shape) - 1)

    def _why_not_fused(self, inputs, mask):
        """Return why it can't be one operation, or None."""
        if mask is not None:
            return "a mask"
        if not (self.scale and self.center):
            return "no scale or no offset"
        if self.synchronized or getattr(self, "renorm", False):
            return "moments of more than the batch"
        if not self._is_by_last_axis(inputs):
            return "channels that don't come last"
        return None

    def _why_not_native(self, inputs, mask):
        """Return why it can't be one native operation here, or None."""
        if why_not := self._why_not_fused(inputs, mask):
            return why_not
        if {self.compute_dtype, self.variable_dtype} != {"float32"}:
            return f"the native operations compute in float32, not {self.compute_dtype}"
        return why_not_native_operations()

    def get_config(self):
        """Return the arguments."""
        return super().get_config() | {"activation": self.activation}


def _in_order(variable, order):
    return variable if order is None else channel_order.in_order(variable.value, order)


# Keras names the weights in a file, and unnamed layers, by the class: as in the files of 0.1, and
# as in those of a model with Keras's own layer.
FusedBatchNormalization.__name__ = "BatchNormalization"
