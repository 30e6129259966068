"""Keras's own layers with a mask of live weights on their kernel: what pruning makes of them.

The mask is a weight that is saved, but not trained. A pruned entry is neither used in the forward
pass nor by a regularizer, so its gradient is zero and it stays zero: see `stay_zero`.
"""

import keras
from keras import ops

from keras_ssc.layers.stay_zero import (
    LiveConstraint,
    LiveRegularizer,
    MaskedKernel,
    live_entries,
)


class _Masked:
    """Adds `kernel_mask` to a layer that has a `kernel`."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)

    def build(self, input_shape):
        """Create the layer's variables, and the mask, which lets all weights live."""
        super().build(input_shape)
        self.kernel_mask = self.add_weight(
            name="kernel_mask",
            shape=self.kernel.shape,
            initializer="ones",
            dtype="bool",
            autocast=False,
            trainable=False,
        )
        if self.kernel.regularizer is not None:
            self.kernel.regularizer = LiveRegularizer(self.kernel.regularizer, self.kernel_mask)
        self.kernel.constraint = LiveConstraint(self.kernel.constraint, self.kernel_mask)

    def add_weight(self, *, name=None, **options):
        """Create a weight, the kernel as a `MaskedKernel`."""
        if name != "kernel":
            return super().add_weight(name=name, **options)
        regularizer, constraint = (options.pop(n, None) for n in ("regularizer", "constraint"))
        options["dtype"] = options.get("dtype") or self.variable_dtype
        with keras.name_scope(self.name, caller=self):
            kernel = MaskedKernel(name=name, **options)
        kernel.regularizer, kernel.constraint = regularizer, constraint
        return kernel

    def live_kernel(self):
        """Return the kernel with exact zeros where the mask is False."""
        return live_entries(self.kernel, self.kernel_mask)

    def enable_lora(self, *args, **kwargs):
        """Refuse: the update that LoRA adds to a kernel is dense."""
        raise ValueError(
            f"Layer {self.name!r} has a mask, so it can't have LoRA, whose update is dense"
        )

    def save_own_variables(self, store):
        """Write all weights, the pruned ones as 0: Keras's layers write kernel and bias only."""
        for index, weight in enumerate(self.weights):
            value = live_entries(weight, self.kernel_mask) if weight is self.kernel else weight
            store[str(index)] = ops.convert_to_numpy(value)

    def load_own_variables(self, store):
        """Read what `save_own_variables` wrote."""
        if len(store.keys()) != len(self.weights):
            raise ValueError(
                f"Layer {self.name!r} has {len(self.weights)} weights, the file has "
                f"{len(store.keys())} for it"
            )
        for index, weight in enumerate(self.weights):
            weight.assign(store[str(index)])
        # Files of earlier versions may hold other values there.
        self.kernel.assign(live_entries(self.kernel, self.kernel_mask))


@keras.saving.register_keras_serializable(package="keras_ssc")
class MaskedConv2D(_Masked, keras.layers.Conv2D):
    """Conv2D that computes with the live entries of its kernel only.

        y = activation(conv(x, kernel * kernel_mask) + bias)

    Arguments, names and shapes are those of keras.layers.Conv2D; the weight `kernel_mask` (bool,
    shaped like the kernel) comes last. `keras_ssc.pruning.apply_masks` makes such layers.

    Example:

    >>> layer = keras_ssc.layers.MaskedConv2D(4, 3)
    >>> layer.build((None, 8, 8, 2))
    >>> [weight.name for weight in layer.weights]
    ['kernel', 'bias', 'kernel_mask']

    Reference: masks as in GraSP's pipeline (paper, section 4).
    """

    def call(self, inputs):
        """Convolve with the live kernel."""
        y = self.convolution_op(inputs, self.live_kernel())
        return _bias_and_activation(self, y, self.data_format)


@keras.saving.register_keras_serializable(package="keras_ssc")
class InterspaceConv2D(MaskedConv2D):
    """Conv2D whose kernels are masked coefficients times a basis that the whole layer shares.

        kernel[:, :, m, n] = sum_i coefficients[i, m, n] * basis[i]

    The K^2 basis filters start as the standard basis, so the layer starts as the Conv2D it stands
    for. The coefficients are stored as `kernel` (K, K, M, N) and masked; `basis` (K^2, K^2) is
    dense and trains with them.

    Example:

    >>> layer = keras_ssc.layers.InterspaceConv2D(4, 3)
    >>> layer.build((None, 8, 8, 2))
    >>> [(weight.name, tuple(weight.shape)) for weight in layer.weights][2]
    ('basis', (9, 9))

    Reference: Wimmer, Mehnert, Condurache, "Interspace Pruning", arXiv 2203.07808; the details
    follow its abstract, no code of the authors is public.
    """

    def build(self, input_shape):
        """Create coefficients, bias and basis."""
        super().build(input_shape)
        size = self.kernel_size[0] * self.kernel_size[1]
        self.basis = self.add_weight(name="basis", shape=(size, size), initializer="identity")

    def live_kernel(self):
        """Return the kernel (K, K, M, N) that the live coefficients span."""
        coefficients = super().live_kernel()
        flat = ops.reshape(coefficients, (self.basis.shape[0], -1))
        return ops.reshape(ops.matmul(ops.transpose(self.basis), flat), coefficients.shape)


@keras.saving.register_keras_serializable(package="keras_ssc")
class MaskedDepthwiseConv2D(_Masked, keras.layers.DepthwiseConv2D):
    """DepthwiseConv2D that computes with the live entries of its kernel only; see MaskedConv2D.

    Example:

    >>> layer = keras_ssc.layers.MaskedDepthwiseConv2D(3)
    >>> layer.build((None, 8, 8, 2))
    >>> tuple(layer.kernel_mask.shape)
    (3, 3, 2, 1)
    """

    def call(self, inputs):
        """Convolve with the live kernel."""
        y = ops.depthwise_conv(
            inputs,
            self.live_kernel(),
            strides=self.strides,
            padding=self.padding,
            dilation_rate=self.dilation_rate,
            data_format=self.data_format,
        )
        return _bias_and_activation(self, y, self.data_format)


@keras.saving.register_keras_serializable(package="keras_ssc")
class MaskedDense(_Masked, keras.layers.Dense):
    """Dense that computes with the live entries of its kernel only; see MaskedConv2D.

    Example:

    >>> layer = keras_ssc.layers.MaskedDense(4)
    >>> layer.build((None, 3))
    >>> tuple(layer.kernel_mask.shape)
    (3, 4)
    """

    def call(self, inputs, training=None):
        """Multiply with the live kernel."""
        return _bias_and_activation(self, ops.matmul(inputs, self.live_kernel()), "channels_last")


def _bias_and_activation(layer, y, data_format):
    if layer.use_bias and data_format == "channels_first":
        y = y + ops.reshape(layer.bias, (-1, 1, 1))  # not ops.add: see `misplaces_bias`
    elif layer.use_bias:
        y = ops.add(y, layer.bias)
    return y if layer.activation is None else layer.activation(y)
