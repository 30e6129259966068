"""Small models with all kinds of steps of a network for inference."""

import keras
import numpy as np

import keras_ssc

layers = keras.layers
# Builders, and arguments of theirs.
NETWORKS = {
    "VGG11": {},
    "ResNet20": {},
    "ResNet20 dense": {"sparsity": 0},
    "ResNet18": {"input_shape": (33, 40, 3), "sparsity": 0.75},
    "MobileNetV2": {},
    "ShuffleNetV2": {},
}


def lively(model):
    """Give every variable a value of its own, near those of a trained network."""
    random = np.random.default_rng(0)
    for variable in model.weights:
        if "variance" in variable.path or "gamma" in variable.path:
            variable.assign(random.uniform(0.5, 1.5, variable.shape))
        elif any(word in variable.path for word in ("mean", "beta", "bias")):
            variable.assign(random.uniform(-0.5, 0.5, variable.shape))
    return model


def images(batch, shape, seed=1):
    """Random images."""
    return np.random.default_rng(seed).normal(size=(batch, *shape)).astype("float32")


def chain(*steps, shape=(9, 10, 8)):
    """A functional model of layers one after the other."""
    x = inputs = keras.Input(shape)
    for step in steps:
        x = step(x)
    return keras.Model(inputs, x)


def graph(function, *shapes):
    """A functional model of inputs of these shapes."""
    inputs = [keras.Input(shape) for shape in shapes]
    return keras.Model(inputs if len(inputs) > 1 else inputs[0], function(*inputs))


def two_readers(x):
    """A ReLU must not cut what another layer reads, too."""
    y = layers.Conv2D(8, 3, padding="same")(x)
    return layers.Add()([layers.ReLU()(y), layers.MaxPooling2D(3, 1, "same")(y)])


def sums(x):
    """In a convolution, before it is made, of three, of one with itself."""
    first = layers.Conv2D(8, 1)(x)
    third = keras_ssc.SSCConv2D(8, 3, padding="same", g=4, p=3)(first)
    y = layers.ReLU()(layers.Add()([third, x]))
    y = layers.Add()([y, layers.Conv2D(8, 1)(y), first])
    return layers.Add()([y, y])


def mixed(x):
    """Channels from here and there."""
    left = layers.Conv2D(6, 1)(x)
    right = layers.ZeroPadding2D(((1, 0), (0, 1)))(layers.MaxPooling2D(2, 1)(x))
    y = layers.Concatenate()([left, right])
    first, second = keras_ssc.layers.shuffle_split.ShuffleSplit("channels_last")(y)
    second = layers.DepthwiseConv2D(3, padding="same")(second)
    return layers.Concatenate()([second, first, second])


def normalized(x):
    """BatchNormalization that is behind no convolution."""
    y = layers.BatchNormalization()(x)
    z = layers.Conv2D(8, 3, padding="same")(layers.ReLU()(y))
    return layers.BatchNormalization(scale=False)(layers.Concatenate()([y, z]))


def several(x, z):
    """Two inputs, three outputs, one of them in the middle."""
    y = layers.Conv2D(8, 3, padding="same", activation="relu")(x)
    y = layers.Concatenate()([y, z])
    flat = layers.Dense(5)(layers.Flatten()(y))
    return [y, layers.Dense(3, activation="relu")(flat), layers.GlobalAveragePooling2D()(y)]


def the_same(x):
    """Outputs that are one array, and one that is the input."""
    before = layers.Dropout(0.5)(x)
    y = layers.Conv2D(8, 3, padding="same")(before)
    return [before, y, layers.Dropout(0.5)(y), layers.ReLU()(y)]


def not_all(x):
    """Layers that no step can be, before, between and behind."""
    y = layers.Rescaling(1 / 3)(x)
    y = layers.ReLU()(layers.Conv2D(8, 3, activation="relu")(y))
    y = layers.LayerNormalization()(y)
    y = layers.Conv2D(8, 3, activation="gelu")(y)
    y = layers.MaxPooling2D(2)(layers.Conv2D(8, 1)(y))
    y = layers.GlobalMaxPooling2D()(y)
    return layers.Dense(4, activation="softmax")(layers.Dense(5, activation="relu")(y))


def nested(x):
    """A model inside, called twice."""
    inner = chain(layers.Conv2D(8, 3, padding="same"), layers.BatchNormalization(), layers.ReLU())
    return layers.Dense(2)(layers.GlobalAveragePooling2D()(inner(inner(x))))


MODELS = {
    "convolutions": lambda: chain(
        layers.Conv2D(16, (3, 2), strides=2, padding="same", activation="relu"),
        layers.Conv2D(12, 3, dilation_rate=2, padding="same", use_bias=False),
        keras_ssc.SSCConv2D(16, 3, g=4, p=3, activation="relu"),
        layers.Dense(5, activation="relu6"),
    ),
    "depthwise": lambda: chain(
        layers.DepthwiseConv2D(3, strides=2, padding="same", activation="relu6"),
        layers.DepthwiseConv2D((2, 3)),
        layers.DepthwiseConv2D(5, padding="same", use_bias=False),
    ),
    "pooling": lambda: chain(
        layers.Conv2D(8, 1),
        layers.MaxPooling2D(3, 2, "same"),
        layers.ZeroPadding2D(1),
        layers.MaxPooling2D((2, 3), 1),
        layers.AveragePooling2D(3, 2, "same"),
        layers.AveragePooling2D(2, 1),
    ),
    "pooling of zeros": lambda: chain(
        layers.Conv2D(8, 1),
        layers.ZeroPadding2D(((1, 3), (0, 2))),
        layers.MaxPooling2D((2, 1), 2, "same"),
        layers.ZeroPadding2D(((0, 2), (3, 1))),
        layers.AveragePooling2D(2, 1, "same"),
        layers.ZeroPadding2D(2),
        layers.AveragePooling2D((3, 2), (1, 2)),
        layers.ZeroPadding2D(1),
        layers.MaxPooling2D(3, 1),
    ),
    "padding": lambda: chain(
        layers.ZeroPadding2D(((2, 1), (0, 3))),
        layers.ZeroPadding2D(1),
        keras_ssc.SSCConv2D(8, 3, g=4, p=3, strides=2),
        layers.ZeroPadding2D(1),
        layers.ReLU(),
        layers.Dropout(0.5),
        layers.DepthwiseConv2D(3),
        layers.ZeroPadding2D(((0, 1), (0, 1))),
    ),
    "any size": lambda: chain(
        layers.Conv2D(8, 3),
        layers.MaxPooling2D(2),
        layers.GlobalAveragePooling2D(keepdims=True),
        shape=(None, None, 8),
    ),
    "relu": lambda: chain(layers.ReLU(2.0), layers.Conv2D(4, 1), layers.Activation("relu")),
    "two readers": lambda: graph(two_readers, (9, 10, 8)),
    "sums": lambda: graph(sums, (9, 10, 8)),
    "mixed": lambda: graph(mixed, (9, 10, 8)),
    "normalized": lambda: graph(normalized, (9, 10, 8)),
    "several": lambda: graph(several, (9, 10, 8), (9, 10, 4)),
    "the same": lambda: graph(the_same, (9, 10, 8)),
    "not all": lambda: graph(not_all, (9, 10, 8)),
    "nested": lambda: graph(nested, (9, 10, 8)),
    "an input as output": lambda: graph(lambda x: [x, layers.Conv2D(2, 1)(x)], (9, 10, 8)),
}
