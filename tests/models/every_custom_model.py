"""Small models with layers and classes of a user's own, which join the table MODELS."""

import keras
import numpy as np
from every_model import MODELS, backbone, conv, functional, head, images, model

__all__ = ["MODELS"]

L = keras.layers


@keras.saving.register_keras_serializable("every_model")
class Block(L.Layer):
    """A layer of layers, with a list of them and a plain attribute."""

    def __init__(self, filters=16, **settings):
        super().__init__(**settings)
        self.filters, self.factor = filters, 1.0
        self.first = conv(filters, name="conv")
        self.others = [conv(filters, name="conv"), L.BatchNormalization()]

    def build(self, shape):
        self.first.build(shape)
        for layer in self.others:
            layer.build((*shape[:-1], self.filters))

    def call(self, x):
        x = self.first(x)
        for layer in self.others:
            x = layer(x)
        return x * self.factor

    def get_config(self):
        return {**super().get_config(), "filters": self.filters}


@model
def layers_of_layers():
    x = inputs = keras.Input((8, 8, 3))
    blocks = [Block(name="one"), Block(name="two")]
    for block in blocks:
        x = block(x)
    blocks[0].first.trainable = False
    blocks[1].factor = 2.0
    return keras.Model(inputs, head(conv()(x))), images()


@keras.saving.register_keras_serializable("every_model")
class Measured(L.Layer):
    """A layer with statistics that no config holds; it writes them to files itself."""

    _scale = 1.0

    def adapt(self, data):
        self._scale = float(np.abs(data).max())

    def call(self, x):
        return x / self._scale

    def save_own_variables(self, store):
        store["scale"] = np.array(self._scale)

    def load_own_variables(self, store):
        self._scale = float(np.array(store["scale"]))


@model
def state_of_a_layer_of_your_own():
    layer = Measured()
    layer.adapt(images())
    x = inputs = keras.Input((8, 8, 3))
    return keras.Model(inputs, head(conv()(layer(x)))), images()


@keras.saving.register_keras_serializable("every_model")
class Trained(keras.Model):
    """Keras's constructor with one argument more, and a training step of its own."""

    def __init__(self, *args, weight=1.0, **kwargs):
        super().__init__(*args, **kwargs)
        self.weight = weight

    def train_step(self, *data):
        return super().train_step(*data)

    def get_config(self):
        return {**super().get_config(), "weight": self.weight}


@model
def class_of_your_own():
    plain, x = functional()
    return Trained(plain.input, plain.output, weight=0.25, name="own"), x


@model
def nested_class_of_your_own():
    inner = backbone("inner")
    inner = Trained(inner.input, inner.output, weight=0.25, name="inner")
    x = inputs = keras.Input((8, 8, 3))
    return keras.Model(inputs, head(inner(conv()(x)))), images()


@keras.saving.register_keras_serializable("every_model")
class OwnSequential(keras.Sequential):
    """A Sequential model with a training step of its own."""

    def train_step(self, *data):
        return super().train_step(*data)


@model
def sequential_of_your_own():
    parts = [conv(), conv(), L.GlobalAveragePooling2D(), L.Dense(4)]
    return OwnSequential([keras.Input((8, 8, 3)), *parts]), images()


@keras.saving.register_keras_serializable("every_model")
class MakesItself(keras.Model):
    """A functional model whose constructor makes the graph; it can't be made of other layers."""

    def __init__(self, **settings):
        inputs = keras.Input((8, 8, 3))
        super().__init__(inputs, head(conv()(inputs)), **settings)

    def train_step(self, *data):
        return super().train_step(*data)

    def get_config(self):
        return {"name": self.name}


@model
def constructor_of_its_own():
    return MakesItself(name="own"), images()


@keras.saving.register_keras_serializable("every_model")
class Doubled(keras.Model):
    """A functional model that computes more than its graph."""

    def call(self, inputs, training=None):
        return 2 * super().call(inputs, training=training)


@model
def call_of_its_own():
    plain, x = functional()
    return Doubled(plain.input, plain.output, name="own"), x
