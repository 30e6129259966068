"""Inference models: BatchNormalization folded, standard operations, packed kernels, all equal."""

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as profile
from settings import layers

import keras_ssc
from keras_ssc.export.inference_model import InferenceModelBuilder
from keras_ssc.export.lowered_convolution import GroupedConvolution, Reorder
from keras_ssc.export.lowering import lower
from keras_ssc.export.packing import pack

L = keras.layers


def lively(model):
    """Give every variable of `model` a value of its own."""
    random = np.random.default_rng(0)
    for variable in model.weights:
        low = 0.5 if "variance" in variable.path else -0.5
        variable.assign(random.uniform(low, low + 1, variable.shape))
    return model


def network():
    """Stem, a residual block whose shortcut is dense, a depthwise layer, a classifier."""
    inputs = keras.Input((8, 8, 3))
    x = L.BatchNormalization()(L.Conv2D(16, 3, padding="same", use_bias=False)(inputs))
    x = shortcut = L.Activation("relu")(x)
    x = keras_ssc.SSCConv2D(16, 3, padding="same", use_bias=False, g=4, p=3)(x)
    x = L.Activation("relu")(L.BatchNormalization(scale=False)(x))
    x = keras_ssc.SSCConv2D(16, 3, strides=2, g=4, p=2)(L.ZeroPadding2D()(x))
    x = L.BatchNormalization(center=False)(x)
    x = L.Add()([L.BatchNormalization()(L.Conv2D(16, 1, strides=2)(shortcut)), x])
    x = L.BatchNormalization()(L.DepthwiseConv2D(3)(x))
    x = L.Dropout(0.5)(L.GlobalAveragePooling2D()(x))
    return lively(keras.Model(inputs, L.Dense(5, activation="softmax")(x)))


def images(model, batch=3):
    shape = [size or 9 for size in model.input_shape[1:]]
    return np.random.default_rng(1).normal(size=(batch, *shape)).astype("float32")


def check_forms(model, tolerance=1e-5):
    """Compare all inference models with the model; return them."""
    x = images(model)
    expected = np.asarray(model(x, training=False))
    grouped, _ = lower(model, 1)
    dense, _ = lower(model, 9999)
    forms = InferenceModelBuilder().build(model), grouped, dense, keras_ssc.fold(model)
    for form in forms:
        np.testing.assert_allclose(
            np.asarray(form(x)), expected, atol=tolerance * np.abs(expected).max(), rtol=0
        )
    return forms


def kinds(model):
    return {type(layer) for layer in model.layers}


def test_forms_of_a_network_compute_the_same():
    model = network()
    before = [value.copy() for value in model.get_weights()]
    folded, grouped, dense, _ = check_forms(model)
    assert L.BatchNormalization not in kinds(folded) | kinds(grouped) | kinds(dense)
    assert keras_ssc.SSCConv2D not in kinds(grouped) | kinds(dense)
    assert GroupedConvolution in kinds(grouped)
    assert Reorder not in kinds(grouped)  # stem and shortcut give the order that is wanted
    for now, then in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)
    assert all(len(layer._inbound_nodes) == 1 for layer in model.layers)


def test_packed_kernels_are_the_live_weights():
    model = network()
    for narrowest_group in (1, 9999):
        _, packed = lower(model, narrowest_group)
        sparse = [layer for layer in model.layers if isinstance(layer, keras_ssc.SSCConv2D)]
        stored = sum(kernel.values.size for kernel in packed.values())
        assert stored == sum(layer.pattern.weight_count for layer in sparse)


def sparse_layer_model(pattern, geometry, size, **options):
    """A model of one SSC layer with the settings of `settings.layers`."""
    pattern = dict(pattern)
    inputs = keras.Input((*size, pattern.pop("in_channels")))
    layer = keras_ssc.SSCConv2D(**pattern, **geometry, **options)
    return lively(keras.Model(inputs, layer(inputs)))


@given(layers())
@profile(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
def test_any_sparse_layer_has_equal_forms(settings):
    pattern, geometry, size, _ = settings
    check_forms(sparse_layer_model(pattern, geometry, size))


@pytest.mark.parametrize("activation", ["relu", "softmax"])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_activation_and_data_format(activation, data_format):
    inputs = keras.Input((8, 8, 8))
    options = {"data_format": data_format, "execution": "dense"}
    layer = keras_ssc.SSCConv2D(8, 3, g=2, p=2, activation=activation, **options)
    model = lively(keras.Model(inputs, layer(inputs)))
    if data_format == "channels_last":
        check_forms(model)
    else:
        x = images(model)
        for narrowest_group in (1, 9999):
            form, _ = lower(model, narrowest_group)
            np.testing.assert_allclose(form(x), model(x), atol=1e-5)


def test_shared_and_nested_and_sequential_models():
    sparse = keras_ssc.SSCConv2D(8, 3, g=4, p=3, padding="same")
    inner = keras.Sequential([keras.Input((8, 8, 8)), sparse, L.BatchNormalization()])
    inputs = keras.Input((8, 8, 8))
    x = sparse(sparse(inputs))
    x = L.Concatenate()([inner(x), inner(inputs), x * 2.0])
    _, grouped, _, _ = check_forms(lively(keras.Model(inputs, x)))
    assert sum(type(layer) is GroupedConvolution for layer in grouped.layers) <= 2
    check_forms(lively(inner))


def test_plain_grouped_convolution_is_called_directly():
    inputs = keras.Input((8, 8, 8))
    model = lively(keras.Model(inputs, L.Conv2D(8, 3, groups=2)(inputs)))
    with_groups, *_ = [lower(model, 4)[0]]
    assert GroupedConvolution in kinds(with_groups)
    x = images(model)
    np.testing.assert_allclose(with_groups(x), model(x), atol=1e-5)


def test_a_convolution_that_others_read_is_not_folded_away():
    inputs = keras.Input((8, 8, 8))
    raw = keras_ssc.SSCConv2D(8, 3, g=2, p=3)(inputs)
    first, second = L.BatchNormalization()(raw), L.BatchNormalization()(raw)
    model = lively(keras.Model(inputs, L.Concatenate()([raw, first, second])))
    check_forms(model)


def test_pack_finds_the_longest_runs():
    live = np.zeros((2, 3, 8), bool)
    live[0, 1, 4:] = live[1, 2, :4] = True
    kernel = np.where(live, np.arange(48.0).reshape(2, 3, 8), 0).astype("float32")
    packed = pack(kernel, live)
    assert packed.values.shape == (2, 4)
    np.testing.assert_array_equal(packed.expanded(), kernel)
    rows, values = map(keras.ops.convert_to_tensor, (packed.rows, packed.values))
    np.testing.assert_array_equal(packed.unpack(rows, values), kernel)


def test_a_layer_that_can_not_be_copied_is_named():
    class Strange(L.Layer):
        def call(self, x):
            return x

        def get_config(self):
            raise NotImplementedError("no config")

    inputs = keras.Input((8,))
    model = keras.Model(inputs, Strange(name="strange")(inputs))
    with pytest.raises(ValueError, match=r"'strange' \(Strange\) can't be copied"):
        InferenceModelBuilder().build(model)
