"""Small models of every kind that a Keras user may bring: one function each, in the table MODELS.

A function returns (model, inputs of two examples). Weights get values of their own afterwards.
"""

import keras
import numpy as np

import keras_ssc

L = keras.layers
MODELS = {}
TENSORFLOW_ONLY = {"vocabulary"}


def model(function):
    """Enter a function into the table."""
    MODELS[function.__name__] = function
    return function


def images(*shape):
    """Two images with values around 3."""
    return np.random.default_rng(0).normal(3, 1, (2, *(shape or (8, 8, 3)))).astype("float32")


def conv(filters=16, **settings):
    return L.Conv2D(filters, 3, **{"padding": "same", **settings})


def head(x, **settings):
    """A convolution that can become sparse, and a classifier."""
    x = L.GlobalAveragePooling2D()(conv(**settings)(x))
    return L.Dense(4)(x)


def backbone(name, frozen=False):
    x = inputs = keras.Input((8, 8, 16))
    x = L.BatchNormalization()(conv(use_bias=False)(x))
    made = keras.Model(inputs, L.ReLU()(x), name=name)
    made.trainable = not frozen
    return made


@model
def functional():
    x = inputs = keras.Input((8, 8, 3))
    x = y = L.BatchNormalization()(conv()(x))
    x = L.Add()([conv(activation="relu")(x), y])
    return keras.Model(inputs, head(keras.ops.relu(x)), name="net"), images()


@model
def sequential():
    parts = [conv(), L.BatchNormalization(), L.ReLU(), conv(), L.Flatten(), L.Dense(4)]
    return keras.Sequential([keras.Input((8, 8, 3)), *parts], name="net"), images()


@model
def sequential_built_by_a_call():
    made = keras.Sequential([conv(), conv(), L.GlobalMaxPooling2D(), L.Dense(4)])
    made(images())
    return made, images()


@model
def nested_twice():
    x = inputs = keras.Input((8, 8, 16), name="middle_in")
    middle = keras.Model(inputs, conv()(backbone("inner")(x)), name="middle")
    x = inputs = keras.Input((8, 8, 3))
    return keras.Model(inputs, head(middle(conv()(x)))), images()


@model
def nested_sequential_first():
    inner = keras.Sequential([keras.Input((8, 8, 3)), conv(), conv()], name="inner")
    return keras.Sequential([inner, conv(), L.GlobalAveragePooling2D(), L.Dense(4)]), images()


@model
def shared_layers():
    a, b = keras.Input((8, 8, 16)), keras.Input((8, 8, 16))
    twice, inner = conv(), backbone("inner")
    x, y = inner(twice(a)), inner(twice(b))
    return keras.Model([a, b], head(L.Concatenate()([x, y]))), [images(8, 8, 16)] * 2


@model
def several_ends():
    a, b = keras.Input((8, 8, 16), name="left"), keras.Input((8, 8, 16), name="right")
    x = L.Add()([conv()(a), conv()(b)])
    return keras.Model([a, b], [head(x), x, a]), [images(8, 8, 16)] * 2


@model
def dicts_at_both_ends():
    inputs = {"b": keras.Input((8, 8, 16), name="b"), "a": keras.Input((8, 8, 16), name="a")}
    x = conv()(inputs["a"])
    outputs = {"z": head(x), "c": conv()(L.Add()([x, inputs["b"]]))}
    return keras.Model(inputs, outputs), {"a": images(8, 8, 16), "b": -images(8, 8, 16)}


@model
def normalization():
    layer = L.Normalization()
    layer.adapt(images())
    x = inputs = keras.Input((8, 8, 3))
    inner = keras.Sequential([keras.Input((8, 8, 3)), layer, conv()], name="inner")
    return keras.Model(inputs, head(inner(x))), images()


@model
def discretization():
    bins = L.Discretization(num_bins=4, output_mode="one_hot")
    bins.adapt(np.linspace(0, 1, 50))
    x, age = keras.Input((8, 8, 16)), keras.Input((1,))
    made = keras.Model([x, age], L.Concatenate()([head(conv()(x)), L.Dense(4)(bins(age))]))
    return made, [images(8, 8, 16), np.array([[0.1], [0.8]], "float32")]


@model
def vocabulary():
    lookup = L.IntegerLookup(output_mode="multi_hot", name="integer_lookup")
    lookup.adapt(np.array([7, 7, 7, 11, 11, 5]))
    x, code = keras.Input((8, 8, 16)), keras.Input((2,), dtype="int64")
    made = keras.Model([x, code], L.Concatenate()([head(conv()(x)), L.Dense(4)(lookup(code))]))
    return made, [images(8, 8, 16), np.array([[7, 5], [11, 1]])]


@model
def augmentation():
    x = inputs = keras.Input((8, 8, 3))
    x = L.Rescaling(1 / 255, offset=-0.5)(L.RandomFlip()(x))
    return keras.Model(inputs, head(conv()(L.GaussianNoise(0.1)(x)))), images()


@model
def frozen_parts():
    x = inputs = keras.Input((8, 8, 3))
    x = L.BatchNormalization(trainable=False)(conv(trainable=False)(x))
    x = backbone("frozen", frozen=True)(x, training=False)
    x = backbone("thawed")(x)
    made = keras.Model(inputs, head(x))
    made.get_layer("thawed").layers[1].trainable = False
    made.layers[-1].bias.trainable = False
    return made, images()


@model
def all_frozen():
    made, x = nested_twice()
    made.trainable = False
    return made, x


@model
def mixed_precision():
    with_policy = {"dtype": "mixed_bfloat16"}
    x = inputs = keras.Input((8, 8, 3))
    x = L.BatchNormalization(**with_policy)(conv(**with_policy)(x))
    return keras.Model(inputs, head(x, **with_policy)), images()


@model
def lora():
    made, x = functional()
    made.layers[1].enable_lora(2)
    made.layers[-1].enable_lora(2)
    return made, x


@model
def quantized():
    made, x = functional()
    made.layers[-1].quantize("int8")
    return made, x


@model
def channels_first():
    first = {"data_format": "channels_first"}
    x = inputs = keras.Input((3, 8, 8))
    x = L.BatchNormalization(axis=1)(conv(use_bias=False, **first)(x))
    x = L.MaxPooling2D(**first)(conv(24, activation="relu", use_bias=False, **first)(x))
    x = L.GlobalAveragePooling2D(**first)(conv(use_bias=False, **first)(x))
    return keras.Model(inputs, L.Dense(4)(x)), images(3, 8, 8)


@model
def time_distributed():
    x = inputs = keras.Input((2, 8, 8, 3))
    x = L.TimeDistributed(conv(), name="steps")(x)
    x = L.TimeDistributed(backbone("inner"), name="frames")(x)
    return keras.Model(inputs, head(conv()(x[:, 0]))), images(2, 8, 8, 3)


@model
def other_convolutions():
    x = inputs = keras.Input((8, 8, 3))
    x = conv(groups=2)(L.SeparableConv2D(16, 3, padding="same")(conv()(x)))
    x = L.BatchNormalization()(L.DepthwiseConv2D(3, depth_multiplier=2, padding="same")(x))
    return keras.Model(inputs, head(L.Conv2DTranspose(16, 3, padding="same")(x))), images()


@model
def spectral_normalization():
    x = inputs = keras.Input((8, 8, 3))
    return keras.Model(
        inputs, head(conv()(L.SpectralNormalization(conv(), name="sn")(x)))
    ), images()


@model
def dropout():
    x = inputs = keras.Input((8, 8, 3))
    x = L.SpatialDropout2D(0.3)(conv()(x))
    late = L.Dropout(0.5)
    made = keras.Model(inputs, head(late(conv()(x))))
    late.rate = 0.25
    return made, images()


@model
def sequences():
    x, words = keras.Input((8, 8, 16)), keras.Input((5,), dtype="int32")
    y = L.Bidirectional(L.LSTM(4), name="both")(L.Embedding(9, 6, mask_zero=True)(words))
    made = keras.Model([x, words], L.Concatenate()([head(conv()(x)), y]))
    return made, [images(8, 8, 16), np.array([[1, 2, 3, 0, 0], [4, 5, 6, 7, 8]], "int32")]


@model
def attention():
    x = inputs = keras.Input((8, 8, 16))
    y = L.Reshape((64, 16))(L.LayerNormalization()(conv()(x)))
    y = L.Reshape((8, 8, 16))(L.MultiHeadAttention(2, 8, name="attention")(y, y))
    y = L.Dense(16)(L.GroupNormalization(4)(L.PReLU(shared_axes=(1, 2))(y)))
    return keras.Model(inputs, head(L.Multiply()([y, x]))), images(8, 8, 16)


@model
def one_name_for_two_layers():
    x = inputs = keras.Input((8, 8, 16))
    inner = keras.Model(inputs, conv(name="same")(x), name="inner")
    x = inputs = keras.Input((8, 8, 3))
    return keras.Model(inputs, head(inner(conv(name="same")(x)))), images()


@model
def sparse_and_fused():
    x = inputs = keras.Input((8, 8, 16))
    x = y = keras_ssc.SSCConv2D(16, 3, padding="same", g=4, p=2, use_bias=False)(x)
    x = keras_ssc.SSCConv2D(16, 1, g=0, p=2)(keras_ssc.layers.FusedBatchNormalization()(x))
    x = keras_ssc.layers.FusedBatchNormalization(activation="relu")(x, residual=y)
    return keras.Model(inputs, head(conv()(x))), images(8, 8, 16)


@model
def masked():
    plain, x = functional()
    return keras_ssc.pruning.apply_masks(plain, keras_ssc.pruning.magnitude(plain, 0.5)), x
