"""What sparsify and densify refuse: with a clear word, and without touching the model."""

import keras
import numpy as np
import pytest
from test_convert import assert_untouched, residual, state

import keras_ssc

layers = keras.layers


class Subclassed(keras.Model):
    """A model whose layers are known to its code only."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.conv = layers.Conv2D(8, 3)

    def call(self, x):
        return self.conv(x)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"sparsity": 0}, ValueError, "`sparsity` must lie strictly between 0 and 1"),
        ({"sparsity": 1}, ValueError, "`sparsity` must lie strictly between 0 and 1"),
        ({"sparsity": -0.5}, ValueError, "Received: sparsity=-0.5"),
        (
            {"sparsity": 0.999},
            ValueError,
            r"to 0\.\d{4} together.*sparsity=0\.999",
        ),
        ({"sparsity": 0.01}, ValueError, "can't be reached"),
        ({"sparsity": "0.9"}, TypeError, "`sparsity` must be a number"),
        ({"sparsity": True}, TypeError, "`sparsity` must be a number"),
        ({"keep": ["a", "stom"]}, ValueError, r"`keep` must name .* Unknown: \['stom'\]"),
        ({"keep": "a"}, TypeError, "`keep` must be a list of layer names"),
        ({"keep": lambda layer: True}, ValueError, "must hold a convolution to convert"),
        ({"shift": "left"}, ValueError, "`shift` must be one of"),
        ({"parity": "odd"}, ValueError, "`parity` must be one of"),
        ({"execution": "fast"}, ValueError, "`execution` must be one of"),
    ],
)
def test_wrong_arguments(arguments, error, words):
    model = residual()
    before = state(model)
    with pytest.raises(error, match=words):
        keras_ssc.sparsify(model, **arguments)
    assert_untouched(model, before)


def test_a_subclassed_model():
    model = Subclassed(name="mine")
    model(np.zeros((1, 5, 5, 16), "float32"))
    for convert in (keras_ssc.sparsify, keras_ssc.densify):
        with pytest.raises(ValueError, match=r"functional or Sequential.*'mine' of class Sub"):
            convert(model)


def test_a_model_that_is_not_built():
    for convert in (keras_ssc.sparsify, keras_ssc.densify):
        with pytest.raises(ValueError, match=r"must be built.*'unbuilt'"):
            convert(keras.Sequential([layers.Conv2D(8, 3)], name="unbuilt"))


@pytest.mark.parametrize("thing", [None, "model.keras", layers.Conv2D(8, 3)])
def test_no_model(thing):
    for convert in (keras_ssc.sparsify, keras_ssc.densify):
        with pytest.raises(TypeError, match="`model` must be a functional or Sequential"):
            convert(thing)


def test_a_model_without_convolutions():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(8, name="one"), layers.Dense(2)])
    with pytest.raises(ValueError, match=r"one \(Dense on vectors\)"):
        keras_ssc.sparsify(model)
    with pytest.raises(ValueError, match="must hold an SSCConv2D layer"):
        keras_ssc.densify(model)


def test_a_lambda_of_a_python_lambda():
    x = inputs = keras.Input((8, 8, 16))
    x = layers.Conv2D(16, 3)(x)
    x = layers.Lambda(lambda image: image * 2, name="twice")(x)
    model = keras.Model(inputs, layers.Conv2D(16, 3)(x))
    before = [np.array(weight) for weight in model.get_weights()]
    with pytest.raises(ValueError, match=r"Layer 'twice' \(Lambda\) can't be copied"):
        keras_ssc.sparsify(model, 0.5)
    for now, then in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_an_activation_that_keras_does_not_know():
    def my_activation(x):
        return keras.ops.relu(x)

    x = inputs = keras.Input((8, 8, 16))
    x = layers.Conv2D(16, 3)(x)
    model = keras.Model(inputs, layers.Conv2D(16, 3, activation=my_activation, name="mine")(x))
    for keep in (None, ["mine"]):
        with pytest.raises(ValueError, match=r"Layer 'mine' \(Conv2D\) can't be copied"):
            keras_ssc.sparsify(model, 0.5, keep=keep)


def test_a_layer_without_a_config():
    class Scale(layers.Layer):
        def __init__(self, factor):
            super().__init__(name="scale")
            self.factor = factor

        def call(self, x):
            return x * self.factor

    x = inputs = keras.Input((8, 8, 16))
    x = layers.Conv2D(16, 3)(x)
    model = keras.Model(inputs, layers.Conv2D(16, 3)(Scale(2)(x)))
    with pytest.raises(ValueError, match=r"Layer 'scale' \(Scale\) can't be copied.*config"):
        keras_ssc.sparsify(model, 0.5)


def test_layers_that_share_a_weight():
    x = inputs = keras.Input((4, 8, 8, 16))
    conv = layers.Conv2D(16, 3, padding="same", name="conv")
    wrapped = layers.TimeDistributed(conv, name="wrapped")(x)
    model = keras.Model(inputs, layers.Add()([conv(x[:, 0])[:, None], wrapped]))
    before = state(model)
    with pytest.raises(ValueError, match="layers 'conv' and 'wrapped' share"):
        keras_ssc.sparsify(model, 0.5, keep=())
    assert_untouched(model, before)


def test_a_loss_that_keras_does_not_know():
    def my_loss(y, prediction):
        return keras.ops.mean((y - prediction) ** 2)

    model = residual()
    model.compile("sgd", my_loss)
    with pytest.raises(ValueError, match="compiled with can't be copied"):
        keras_ssc.sparsify(model, 0.8)
    assert model.compiled


def test_nested_subclassed_models_stay_and_are_named():
    @keras.saving.register_keras_serializable("tests")
    class Block(Subclassed):
        pass

    x = inputs = keras.Input((12, 12, 16))
    x = layers.Conv2D(16, 3, name="first")(x)
    x = Block(name="block")(x)
    model = keras.Model(inputs, layers.Conv2D(16, 3, name="last")(x))
    assert keras_ssc.conversion_plan(model, 0.5).left_alone["block"] == "not a Conv2D"
    sparse = keras_ssc.sparsify(model, 0.5)
    for one, other in zip(
        model.get_layer("block").get_weights(), sparse.get_layer("block").get_weights(), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_a_folded_model_is_made_dense_before_it_is_folded():
    from keras_ssc.applications import ResNet20

    model = ResNet20(sparsity=0.9, width=16)
    with pytest.raises(ValueError, match=r"fold\(densify\(model\)\)"):
        keras_ssc.densify(keras_ssc.fold(model))
    x = np.random.default_rng(0).normal(size=(2, 32, 32, 3)).astype("float32")
    dense = keras_ssc.fold(keras_ssc.densify(model))
    np.testing.assert_allclose(dense(x), model(x), atol=1e-5)
