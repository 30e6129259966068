"""What a user would pick instead: the same network with other convolutions in the sparse places."""

import keras
import numpy as np

from keras_ssc import SSCConv2D
from keras_ssc.layers import FusedBatchNormalization


class MaskedConv2D(keras.layers.Conv2D):
    """A dense convolution whose kernel is multiplied by a pattern's mask: pruning without speed."""

    def __init__(self, *args, pattern=None, **kwargs):
        super().__init__(*args, **kwargs)
        self.mask = pattern.mask().astype("float32")

    def call(self, inputs):
        """Convolve with the live entries."""
        return keras.ops.conv(
            inputs,
            self.kernel * self.mask,
            strides=self.strides,
            padding=self.padding,
            data_format=self.data_format,
        )


def _options(layer, *left_out):
    config = layer.get_config()
    names = ("filters", "kernel_size", "strides", "padding", "use_bias", "name")
    return {name: config[name] for name in names if name not in left_out}


def dense(layer):
    """A plain Conv2D."""
    return keras.layers.Conv2D(**_options(layer))


def masked(layer):
    """A dense convolution with the pattern as a mask."""
    return MaskedConv2D(**_options(layer), pattern=layer.pattern)


def groups(layer):
    """Keras's own grouped convolution with as many groups as the pattern has classes."""
    return keras.layers.Conv2D(**_options(layer), groups=max(layer.pattern.g, 1))


def separable(layer):
    """Depthwise, then point-wise."""
    if layer.pattern.kernel_size == (1, 1):
        return dense(layer)
    return keras.layers.SeparableConv2D(**_options(layer))


def executed(execution):
    """The SSC layer itself, computed in one given way."""

    def replace(layer):
        config = layer.get_config() | {"execution": execution}
        return SSCConv2D.from_config(config)

    return replace


def with_layers(model, replace):
    """Return `model` with `replace(layer)` for every SSCConv2D, all else as it is."""

    def clone(layer):
        if isinstance(layer, SSCConv2D):
            return replace(layer)
        return layer.__class__.from_config(layer.get_config())

    return keras.models.clone_model(model, clone_function=clone)


def in_keras(model, replace, factor=1.0):
    """Return `model` in Keras's own layers only: what a user without this package would have.

    Args:
        model: a network of `keras_ssc.applications`.
        replace: function of an SSCConv2D that returns the layer in its place.
        factor: float, by which all numbers of filters are multiplied.
    """

    def call(layer, *args, **kwargs):
        if isinstance(layer, FusedBatchNormalization):
            return _batch_norm(layer, args[0], kwargs.get("residual"))
        if isinstance(layer, (SSCConv2D, keras.layers.Conv2D)):
            new = replace(layer) if isinstance(layer, SSCConv2D) else dense(layer)
            new.filters = max(1, round(layer.filters * factor))
            return new(args[0])
        # MaxPooling2D and ZeroPadding2D of ours are subclasses that Keras's own names.
        kind = getattr(keras.layers, type(layer).__name__, type(layer))
        return kind.from_config(layer.get_config())(*args, **kwargs)

    return keras.models.clone_model(model, clone_function=lambda layer: layer, call_function=call)


def _batch_norm(layer, x, residual):
    """Keras's BatchNormalization, sum and ReLU."""
    settings = {"momentum": layer.momentum, "epsilon": layer.epsilon, "name": layer.name}
    x = keras.layers.BatchNormalization(**settings)(x)
    if residual is not None:
        x = keras.layers.Add()([x, residual])
    return keras.layers.ReLU()(x) if layer.activation else x


def thinner(model, parameters):
    """Return a dense net of the same layout, all widths scaled, with about `parameters` weights."""
    factors = np.linspace(0.1, 1, 46)
    low, high = 0, len(factors) - 1
    while low < high:  # the smallest factor with enough parameters
        middle = (low + high) // 2
        if in_keras(model, dense, factors[middle]).count_params() < parameters:
            low = middle + 1
        else:
            high = middle
    return in_keras(model, dense, factors[low])
