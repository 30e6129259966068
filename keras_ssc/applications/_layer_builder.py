"""The Keras layers of which all networks are made."""

import keras

from keras_ssc.initializers import DenseScale
from keras_ssc.layers import FusedBatchNormalization, SSCConv2D, channel_wise
from keras_ssc.layers.shuffle_split import ShuffleSplit
from keras_ssc.sparsity import butterfly_offset

# GraSP's: Kaiming normal by fan-out, not truncated; BatchNormalization as in PyTorch.
KERNEL_INITIALIZER = keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal")
DENSE_INITIALIZER = keras.initializers.RandomNormal(stddev=0.01)
BATCH_NORMALIZATION = {"momentum": 0.9, "epsilon": 1e-5}


class LayerBuilder:
    """Makes the layers of one network, with one data format, dtype and set of rules.

    Args:
        image_size: (height, width) of the images.
        settings: dict, layer name -> (g, p) or None (dense).
        data_format: `"channels_last"` or `"channels_first"`.
        dtype: dtype or policy of the layers, or None.
        initial_scale: `"dense"` or `"live"`, of the sparse layers' initial weights.
        **rules: shift, parity, set_offset, execution of the sparse layers.
    """

    def __init__(self, image_size, settings, data_format, dtype, initial_scale="dense", **rules):
        self.image_size = image_size
        self.settings = settings
        self.data_format = data_format
        self.channel_axis = -1 if self.data_format == "channels_last" else 1
        self.dtype = dtype
        self.initial_scale = initial_scale
        self.rules = rules
        self._sparse_layers = 0

    @property
    def _options(self):
        return {"data_format": self.data_format, "dtype": self.dtype}

    def conv_bn_relu(
        self, x, name, filters, kernel_size=3, strides=1, *, sparse=True, relu=True, residual=None
    ):
        """Convolution, BatchNormalization and, if wanted, the sum with `residual`, and ReLU.

        `sparse` says that the layer may be sparse; its setting was chosen with the table.
        """
        x, padding = self._padded(x, name, kernel_size, strides)
        options = self._options | {
            "strides": strides,
            "padding": padding,
            "use_bias": False,
            # A copy for each layer: an initializer with a drawn seed repeats its values.
            "kernel_initializer": KERNEL_INITIALIZER.clone(),
            "name": name,
        }
        x = self._convolution(filters, kernel_size, **options)(x)
        return self._bn_relu(x, name, relu, residual)

    def depthwise_bn_relu(self, x, name, strides=1, *, relu=True):
        """Depthwise 3x3 convolution, BatchNormalization and, if wanted, ReLU."""
        x, padding = self._padded(x, name, 3, strides)
        x = keras.layers.DepthwiseConv2D(
            3,
            strides,
            padding,
            use_bias=False,
            depthwise_initializer=KERNEL_INITIALIZER.clone(),
            name=name,
            **self._options,
        )(x)
        return self._bn_relu(x, name, relu)

    def _padded(self, x, name, kernel_size, strides):
        """Pad symmetrically also with strides, where TensorFlow's "same" does not."""
        if strides == 1 or kernel_size == 1:
            return x, "same"
        width = (kernel_size - 1) // 2
        return self._zero_padding(x, name, width), "valid"

    def _zero_padding(self, x, name, width):
        return channel_wise.ZeroPadding2D(width, name=f"{name}_pad", **self._options)(x)

    def _convolution(self, filters, kernel_size, **options):
        """The layer, dense or sparse, as the settings have it."""
        setting = self.settings[options["name"]]
        if setting is None:
            return channel_wise.Conv2D(filters, kernel_size, **options)
        g, p = setting
        rules = self.rules
        if rules["set_offset"] == "butterfly":
            rules = rules | {"set_offset": self._butterfly(max(g, p), rules["shift"])}
        if self.initial_scale == "dense":
            options["kernel_initializer"] = DenseScale(options["kernel_initializer"])
        return SSCConv2D(filters, kernel_size, g=g, p=p, **options, **rules)

    def _butterfly(self, q, shift):
        """1, 2, 4, ..., the largest power of 2 below q, and again 1, from layer to layer."""
        offset = butterfly_offset(self._sparse_layers, q)
        self._sparse_layers += 1
        return offset if shift == "cyclic" else 0

    def _bn_relu(self, x, name, relu, residual=None):
        layer = FusedBatchNormalization(
            axis=self.channel_axis,
            activation="relu" if relu else None,
            name=f"{name}_bn",
            dtype=self.dtype,
            **BATCH_NORMALIZATION,
        )
        return layer(x) if residual is None else layer(x, residual=residual)

    def max_pool(self, x, name, size=2, strides=2, padding=0):
        """Maximum over squares; what is padded is 0, the least that ReLU gives."""
        if padding:
            x = self._zero_padding(x, name, padding)
        return channel_wise.MaxPooling2D(size, strides, name=name, **self._options)(x)

    def shuffle_split(self, x, name):
        """Shuffle the two halves of the channels, and split them in two anew."""
        return ShuffleSplit(self.data_format, name=name, dtype=self.dtype)(x)

    def concatenate(self, x, y, name):
        """The channels of both."""
        return keras.layers.Concatenate(self.channel_axis, name=name, dtype=self.dtype)([x, y])

    def classifier(self, x, classes):
        """Average over the pixels, then one score for each class, without activation."""
        setting = self.settings["logits"]
        x = channel_wise.GlobalAveragePooling2D(
            keepdims=setting is not None, name="avg_pool", **self._options
        )(x)
        options = {
            "kernel_initializer": DENSE_INITIALIZER.clone(),
            "name": "logits",
            "dtype": self.dtype,
        }
        if setting is None:
            return keras.layers.Dense(classes, **options)(x)
        x = self._convolution(classes, 1, data_format=self.data_format, **options)(x)
        return keras.layers.Flatten(name="logits_flat", **self._options)(x)

    def pooled(self, x, pooling):
        """`pooling` of keras.applications: None, `"avg"` or `"max"`."""
        if pooling == "avg":
            return channel_wise.GlobalAveragePooling2D(name="avg_pool", **self._options)(x)
        if pooling == "max":
            return keras.layers.GlobalMaxPooling2D(name="max_pool", **self._options)(x)
        return x

    def predictions(self, logits, activation):
        """The classifier's activation, in 32 bits: 16 lose the loss's small differences."""
        narrow = keras.backend.standardize_dtype(logits.dtype).endswith("16")
        dtype = "float32" if narrow else self.dtype
        return keras.layers.Activation(activation, name="predictions", dtype=dtype)(logits)
