"""`fold`: fewer layers, equal outputs, the sum and the ReLU inside the convolution."""

import keras
import numpy as np
import pytest
import reference
from gradients import value_and_gradients
from inference_models import NETWORKS, lively

import keras_ssc
from keras_ssc.layers import FusedBatchNormalization, SSCConv2D


@pytest.mark.parametrize("name", NETWORKS)
def test_a_folded_network_computes_the_same(name):
    build = getattr(keras_ssc.applications, name.split()[0])
    model = lively(build(classes=7, classifier_activation=None, **NETWORKS[name]))
    folded = keras_ssc.fold(model)
    shape = model.input_shape[1:]
    x = np.random.default_rng(1).normal(size=(2, *shape)).astype("float32")
    expected = keras.ops.convert_to_numpy(model(x, training=False))
    found = keras.ops.convert_to_numpy(folded(x, training=False))
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max(), rtol=0)
    assert not any(isinstance(layer, FusedBatchNormalization) for layer in folded.layers)
    assert len(folded.layers) < len(model.layers)
    sums = [layer for layer in folded.layers if isinstance(layer, keras.layers.Add)]
    # A sum stays where the convolution before it is dense.
    assert bool(sums) == (name == "ResNet20 dense")


@pytest.mark.parametrize("name", NETWORKS)
def test_a_folded_network_computes_in_the_dtype_of_its_model(name):
    """Sums in float32 would pass twice as many bytes, and keep XLA from fusing them."""
    build = getattr(keras_ssc.applications, name.split()[0])
    folded = keras_ssc.fold(build(**NETWORKS[name], dtype="mixed_bfloat16"))
    wide = [one.name for one in folded.layers if one.compute_dtype != "bfloat16"]
    assert set(wide) <= {"predictions", folded.layers[0].name}


def test_a_folded_network_is_saved_and_loaded(tmp_path):
    model = lively(keras_ssc.applications.ResNet20(sparsity=0.9))
    folded = keras_ssc.fold(model)
    folded.save(tmp_path / "folded.keras")
    again = keras.models.load_model(tmp_path / "folded.keras")
    x = np.random.default_rng(1).normal(size=(2, 32, 32, 3)).astype("float32")
    np.testing.assert_array_equal(np.asarray(again(x)), np.asarray(folded(x)))


@pytest.mark.backends
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("activation", [None, "relu", "tanh"])
@pytest.mark.parametrize("execution", ["auto", "dense", "grouped"])
def test_a_layer_adds_its_residual_before_the_activation(execution, activation, data_format):
    random = np.random.default_rng(0)
    options = {"execution": execution, "activation": activation, "data_format": data_format}
    layer = SSCConv2D(8, 3, padding="same", g=4, p=3, strides=2, **options)
    x, residual = random.normal(size=(2, 7, 6, 8)), random.normal(size=(2, 4, 3, 8))

    def own(array):
        array = array.transpose(0, 3, 1, 2) if data_format == "channels_first" else array
        return array.astype("float32")

    layer.build(own(x).shape)
    layer.bias.assign(random.normal(size=8))
    kernel, bias = (keras.ops.convert_to_numpy(w) for w in (layer.kernel, layer.bias))
    sums = reference.convolution(x, kernel, bias, (2, 2), "same", (1, 1)) + residual
    after = {None: lambda z: z, "relu": lambda z: np.maximum(z, 0), "tanh": np.tanh}[activation]
    y = layer(own(x), residual=own(residual))
    np.testing.assert_allclose(keras.ops.convert_to_numpy(y), own(after(sums)), atol=1e-5)


@pytest.mark.backends
def test_the_gradient_by_the_residual():
    random = np.random.default_rng(0)
    layer = SSCConv2D(16, 3, padding="same", g=8, p=3, activation="relu")
    x = random.normal(size=(2, 5, 5, 16)).astype("float32")
    layer.build(x.shape)

    class Around(keras.layers.Layer):
        """The residual as the input."""

        def __init__(self):
            super().__init__()
            self.inner = layer

        def build(self, input_shape):
            self.built = True

        def call(self, residual):
            return self.inner(x, residual=residual)

    residual, dy = (random.normal(size=(2, 5, 5, 16)).astype("float32") for _ in range(2))
    around = Around()
    around.build(residual.shape)
    y, by_residual, _ = value_and_gradients(around, residual, dy)
    np.testing.assert_allclose(by_residual, dy * (y > 0), atol=1e-6)


def test_refusals():
    with pytest.raises(TypeError, match=r"keras\.Model"):
        keras_ssc.fold("model")
    with pytest.raises(ValueError, match="built"):
        keras_ssc.fold(keras.Sequential([keras.layers.Dense(2)]))


def sparse(filters=8):
    return SSCConv2D(filters, 3, padding="same", g=4, p=3)


def normal():
    return keras.layers.BatchNormalization()


def block(x):
    """As in networks of keras.applications after `sparsify`."""
    shortcut = normal()(sparse()(x))
    y = keras.layers.Activation("relu")(normal()(sparse()(x)))
    y = keras.layers.Add()([shortcut, normal()(sparse()(y))])
    return keras.layers.ReLU()(y)


def read_twice(x):
    """The sum and the sparse convolution before it are read by others too."""
    y = sparse()(x)
    z = keras.layers.Add()([y, x])
    return keras.layers.Concatenate()([keras.layers.ReLU()(y), keras.layers.ReLU()(z), z])


def of_one_with_itself(x):
    y = sparse()(x)
    return keras.layers.ReLU()(keras.layers.Add()([y, y]))


def broadcast(x):
    y = keras.layers.GlobalAveragePooling2D(keepdims=True)(x)
    return keras.layers.Add()([sparse()(x), y])


def others(x):
    """Of three, and activations that are none of the convolution's."""
    y = keras.layers.Add()([sparse()(x), x, sparse()(x)])
    y = keras.layers.ReLU(6.0)(sparse()(y))
    y = keras.layers.ReLU(negative_slope=0.1)(sparse()(y))
    return keras.layers.Activation("relu", dtype="float16")(sparse()(y))


def called_twice(x):
    """One convolution and one ReLU, each of two calls."""
    convolution, relu = sparse(), keras.layers.ReLU()
    return convolution(relu(convolution(relu(convolution(x)))))


def with_an_activation(x):
    y = SSCConv2D(8, 3, padding="same", g=4, p=3, activation="tanh")(x)
    return keras.layers.ReLU()(keras.layers.Add()([y, x]))


def nested(x):
    inputs = keras.Input(x.shape[1:])
    inner = keras.Model(inputs, [block(inputs), inputs], name="inner")
    return keras.layers.Add()(inner(x))


def by_name(x):
    """Keras takes the tensor as `inputs=` too."""
    return keras.layers.ReLU()(inputs=keras.layers.Add()(inputs=[x, sparse()(x)]))


LEFT = {  # sums and ReLUs that stay
    block: 0,
    read_twice: 3,
    of_one_with_itself: 2,
    broadcast: 1,
    by_name: 2,
    others: 4,
    called_twice: 0,
    with_an_activation: 2,
    nested: 1,
}


@pytest.mark.backends
@pytest.mark.parametrize("function", LEFT, ids=lambda function: function.__name__)
def test_sums_and_relus_of_their_own_are_the_convolution_s(function):
    """Where nothing else reads what they read; as many as can be, and the model stays as it is."""
    inputs = keras.Input((7, 6, 8))
    model = lively(keras.Model(inputs, function(inputs)))
    before = model.get_config()
    folded = keras_ssc.fold(model)
    x = np.random.default_rng(1).normal(size=(2, 7, 6, 8)).astype("float32")
    expected = keras.ops.convert_to_numpy(model(x, training=False))
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(folded(x, training=False)), expected, atol=1e-5, rtol=1e-5
    )
    kinds = (keras.layers.Add, keras.layers.ReLU, keras.layers.Activation)
    inner = [one for layer in folded.layers for one in getattr(layer, "layers", [layer])]
    assert sum(isinstance(layer, kinds) for layer in inner) == LEFT[function]
    assert model.get_config() == before
    assert {one.name for one in folded.layers} <= {one.name for one in model.layers}
    fast = keras_ssc.optimize_for_inference(model)
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(fast(x, training=False)), expected, atol=1e-4, rtol=1e-4
    )
