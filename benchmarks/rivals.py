"""What a user would pick instead: the same network with other convolutions in the sparse places."""

import keras
import numpy as np

from keras_ssc import SSCConv2D


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
    """Return `model` with `replace(layer)` for every SSCConv2D."""

    def clone(layer):
        if isinstance(layer, SSCConv2D):
            return replace(layer)
        return layer.__class__.from_config(layer.get_config())

    return keras.models.clone_model(model, clone_function=clone)


def thinner(model, parameters):
    """Return a dense net of the same layout, all widths scaled, with about `parameters` weights."""

    def scaled(factor):
        def clone(layer):
            config = layer.get_config()
            if isinstance(layer, (SSCConv2D, keras.layers.Conv2D)):
                width = max(1, round(layer.filters * factor))
                return keras.layers.Conv2D(**_options(layer, "filters"), filters=width)
            if isinstance(layer, keras.layers.BatchNormalization):
                return keras.layers.BatchNormalization(name=layer.name)
            return layer.__class__.from_config(config)

        return keras.models.clone_model(model, clone_function=clone)

    factors = np.linspace(0.1, 1, 46)
    low, high = 0, len(factors) - 1
    while low < high:  # the smallest factor with enough parameters
        middle = (low + high) // 2
        if scaled(factors[middle]).count_params() < parameters:
            low = middle + 1
        else:
            high = middle
    return scaled(factors[low])
