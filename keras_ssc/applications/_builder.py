"""What all builders share: checked arguments, dense or sparse convolutions, head, weights."""

import os

import keras

from keras_ssc.layers import SSCConv2D
from keras_ssc.network_sparsity import choose_network

# GraSP's: Kaiming normal by fan-out, not truncated; BatchNormalization as in PyTorch.
KERNEL_INITIALIZER = keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal")
DENSE_INITIALIZER = keras.initializers.RandomNormal(stddev=0.01)
BATCH_NORMALIZATION = {"momentum": 0.9, "epsilon": 1e-5}


def choose_settings(shapes, sparsity, g, p, parity):
    """Return (g, p), or None for dense, for every layer: dict by layer name.

    Args:
        shapes: list of `LayerShape`.
        sparsity: wanted network sparsity in [0, 1), 0 for the dense twin; or None.
        g, p: ints for every sparse layer, or None. With all three None, sparsity is 0.9.
        parity: as for `SSCPattern`.
    """
    if sparsity is not None and (g is not None or p is not None):
        raise ValueError(
            "Give either `sparsity` or `g` and `p`, not both. "
            f"Received: sparsity={sparsity}, g={g}, p={p}"
        )
    if (g is None) != (p is None):
        raise ValueError(f"`g` and `p` go together. Received: g={g}, p={p}")
    if g is not None:
        return {shape.name: (g, p) if shape.sparse else None for shape in shapes}
    if sparsity is None:
        sparsity = 0.9
    if not isinstance(sparsity, bool) and sparsity == 0:
        return {shape.name: None for shape in shapes}
    return choose_network(shapes, sparsity=sparsity, parity=parity).settings


class Builder:
    """Makes the layers of one network, with one data format, dtype and set of rules.

    Args:
        shapes: list of `LayerShape`: the table of the network's Conv and Dense layers.
        settings: dict, layer name -> (g, p) or None (dense).
        data_format: `"channels_last"`, `"channels_first"` or None (Keras's setting).
        dtype: dtype or policy of the layers, or None.
        **rules: shift, parity, set_offset, execution of the sparse layers.
    """

    def __init__(self, shapes, settings, data_format, dtype, **rules):
        self.shapes = {shape.name: shape for shape in shapes}
        self.settings = settings
        self.data_format = data_format or keras.config.image_data_format()
        self.channel_axis = -1 if self.data_format == "channels_last" else 1
        self.dtype = dtype
        self.rules = rules

    def convolution(self, x, name, strides=1):
        """Convolution `name` of the table, then BatchNormalization.

        Padding is symmetric also with strides, where TensorFlow's "same" is not.
        """
        shape = self.shapes[name]
        options = {"data_format": self.data_format, "dtype": self.dtype}
        padding = "same"
        if strides > 1 and shape.kernel_size != (1, 1):
            width = tuple((side - 1) // 2 for side in shape.kernel_size)
            x = keras.layers.ZeroPadding2D(width, name=f"{name}_pad", **options)(x)
            padding = "valid"
        options |= {
            "strides": strides,
            "padding": padding,
            "use_bias": False,
            # A copy for each layer: an initializer with a drawn seed repeats its values.
            "kernel_initializer": KERNEL_INITIALIZER.clone(),
            "name": name,
        }
        setting = self.settings[name]
        if setting is None:
            layer = keras.layers.Conv2D(shape.filters, shape.kernel_size, **options)
        else:
            g, p = setting
            options |= self.rules
            layer = SSCConv2D(shape.filters, shape.kernel_size, g=g, p=p, **options)
        return keras.layers.BatchNormalization(
            axis=self.channel_axis, name=f"{name}_bn", dtype=self.dtype, **BATCH_NORMALIZATION
        )(layer(x))

    def relu(self, x, name):
        """Rectified linear unit."""
        return keras.layers.Activation("relu", name=name, dtype=self.dtype)(x)

    def add(self, x, y, name):
        """Residual sum."""
        return keras.layers.Add(name=name, dtype=self.dtype)([x, y])

    def head(self, x, include_top, pooling, classes, classifier_activation):
        """Classifier, or `pooling`, or nothing, after keras.applications' rules."""
        options = {"data_format": self.data_format, "dtype": self.dtype}
        if include_top or pooling == "avg":
            x = keras.layers.GlobalAveragePooling2D(name="avg_pool", **options)(x)
        elif pooling == "max":
            x = keras.layers.GlobalMaxPooling2D(name="max_pool", **options)(x)
        if not include_top:
            return x
        x = keras.layers.Dense(
            classes, kernel_initializer=DENSE_INITIALIZER.clone(), name="logits", dtype=self.dtype
        )(x)
        # Probabilities in 16 bits lose the loss's small differences.
        wide = "float32" if keras.backend.standardize_dtype(x.dtype).endswith("16") else self.dtype
        return keras.layers.Activation(classifier_activation, name="predictions", dtype=wide)(x)


def check_builder_arguments(input_shape, classes, pooling, weights, data_format, channels=3):
    """Return (height, width, channels) of the input; refuse what can't be built.

    Args:
        input_shape: (height, width, channels), or (channels, height, width) for channels_first.
        classes: int >= 1.
        pooling: None, `"avg"` or `"max"`.
        weights: None or the path of a file.
        data_format: as for keras.layers.Conv2D.
        channels: unused dimensions are not guessed; the usual number, for the message.
    """
    if data_format not in (None, "channels_last", "channels_first"):
        raise ValueError(
            "`data_format` must be 'channels_last' or 'channels_first'. "
            f"Received: data_format={data_format!r}"
        )
    sizes = tuple(input_shape) if isinstance(input_shape, (tuple, list)) else ()
    if len(sizes) != 3 or not all(
        size is None or (isinstance(size, int) and not isinstance(size, bool) and size > 0)
        for size in sizes
    ):
        raise ValueError(
            f"`input_shape` must be three positive integers, such as (32, 32, {channels}). "
            f"Received: input_shape={input_shape!r}"
        )
    if (data_format or keras.config.image_data_format()) == "channels_first":
        sizes = (*sizes[1:], sizes[0])
    if sizes[-1] is None:
        raise ValueError(
            f"`input_shape` must name the channels. Received: input_shape={input_shape!r}"
        )
    if isinstance(classes, bool) or not isinstance(classes, int) or classes < 1:
        raise ValueError(f"`classes` must be a positive integer. Received: classes={classes!r}")
    if pooling not in (None, "avg", "max"):
        raise ValueError(f"`pooling` must be None, 'avg' or 'max'. Received: pooling={pooling!r}")
    if weights is not None and not os.path.isfile(os.fspath(weights)):
        raise ValueError(
            f"`weights` must be None or an existing file. No such file: weights={str(weights)!r}"
        )
    return sizes


def finish(inputs, outputs, name, weights):
    """Return the model, with the weights of a file if one is named."""
    model = keras.Model(inputs, outputs, name=name)
    if weights is not None:
        try:
            model.load_weights(weights)
        except Exception as error:
            raise ValueError(
                f"`weights` must be a weights file of this very network ({name}). "
                f"Received: weights={str(weights)!r}, which can't be loaded: {error}"
            ) from error
    return model
