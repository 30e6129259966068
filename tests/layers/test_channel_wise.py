"""Layers that stand for Keras's: equal in all, known by the class they stand for."""

import keras
import numpy as np
import pytest

import keras_ssc
from keras_ssc.layers import channel_wise
from keras_ssc.layers.channel_wise import keeping_class, keras_class

pytestmark = pytest.mark.backends

KERAS = [
    keras.layers.Activation("softmax"),
    keras.layers.Activation("silu"),
    keras.layers.AveragePooling2D(2, padding="same"),
    keras.layers.BatchNormalization(momentum=0.5, epsilon=0.01),
    keras.layers.BatchNormalization(scale=False, trainable=False),
    keras.layers.Conv2D(6, 3, strides=2, padding="same", activation="relu"),
    keras.layers.Conv2D(4, 3, groups=2, use_bias=False),
    keras.layers.GlobalAveragePooling2D(keepdims=True),
    keras.layers.MaxPooling2D(3, 2),
    keras.layers.ReLU(2.0, negative_slope=0.25),
    keras.layers.ZeroPadding2D(((0, 1), (2, 0))),
]


def pair(layer):
    """A layer of Keras, and that which stands for it, with the same weights that all differ."""
    layer = type(layer).from_config(layer.get_config())
    ours = keeping_class(layer).from_config(layer.get_config())
    random = np.random.default_rng(0)
    for one in (layer, ours):
        one.build((None, 5, 6, 4))
    for one, other in zip(layer.variables, ours.variables, strict=True):
        one.assign(random.uniform(0.5, 1.5, one.shape))
        other.assign(one)
    return layer, ours


@pytest.mark.parametrize("layer", KERAS, ids=lambda layer: layer.name)
@pytest.mark.parametrize("training", [False, True])
def test_it_computes_what_keras_computes(layer, training):
    layer, ours = pair(layer)
    assert isinstance(ours, type(layer))
    assert type(ours) is not type(layer)
    x = np.random.default_rng(1).normal(size=(3, 5, 6, 4)).astype("float32")
    more = {"training": training} if isinstance(layer, keras.layers.BatchNormalization) else {}
    outputs = [keras.ops.convert_to_numpy(one(x, **more)) for one in (layer, ours)]
    np.testing.assert_allclose(*outputs, rtol=1e-5, atol=1e-5)
    for one, other in zip(layer.variables, ours.variables, strict=True):
        assert one.name == other.name
        np.testing.assert_allclose(*map(keras.ops.convert_to_numpy, (one, other)), rtol=1e-5)


@pytest.mark.parametrize("layer", KERAS, ids=lambda layer: layer.name)
def test_its_class_name_arguments_and_home_are_keras_s(layer):
    _, ours = pair(layer)
    assert type(ours).__name__ == type(layer).__name__
    assert ours.get_config() == layer.get_config()
    assert keras_class(ours) is keras_class(layer) is type(layer)
    assert keeping_class(ours) is keeping_class(layer) is type(ours)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(ours))
    assert type(again) is type(ours)


def test_a_sum():
    x = np.arange(8, dtype="float32").reshape(1, 2, 2, 2)
    y = channel_wise.Add()([x, 2 * x, x[..., :1]])
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(y), 3 * x + x[..., :1])


def small_network():
    """Keras's layers, all of whose classes there are others for, and two that there are not."""
    inputs = keras.Input((9, 9, 3))
    x = keras.layers.ZeroPadding2D()(inputs)
    x = keras.layers.Conv2D(32, 3, name="stem")(x)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    y = keras.layers.Conv2D(32, 3, padding="same", name="body")(x)
    y = keras.layers.Activation("relu")(keras.layers.BatchNormalization(momentum=0.9)(y))
    x = keras.layers.MaxPooling2D()(keras.layers.Add()([x, y]))
    x = keras.layers.AveragePooling2D(2)(x)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Dropout(0.5)(x))
    return keras.Model(inputs, keras.layers.Dense(5, name="scores")(x))


def test_sparsify_puts_them_in_and_densify_takes_them_out(tmp_path):
    model = small_network()
    model.layers[3].trainable = False
    for variable in model.non_trainable_variables:
        variable.assign(np.random.default_rng(2).uniform(0.5, 1, variable.shape))
    sparse = keras_ssc.sparsify(model, 0.8, from_dense=True)
    dense = keras_ssc.densify(sparse)
    assert [type(one) for one in dense.layers] == [type(one) for one in model.layers]
    kinds = [keras_class(one) for one in sparse.layers if one.name != "body"]
    assert kinds == [type(one) for one in model.layers if one.name != "body"]
    changed = [one for one in sparse.layers if keras_class(one) is not type(one)]
    assert len(changed) == 10
    x = np.random.default_rng(3).uniform(size=(2, 9, 9, 3)).astype("float32")
    path = str(tmp_path / "sparse.keras")
    sparse.save(path)
    loaded = keras.models.load_model(path)
    assert [type(one) for one in loaded.layers] == [type(one) for one in sparse.layers]
    want = sparse.predict(x, verbose=0)
    for other in (loaded, dense, keras_ssc.fold(sparse), keras_ssc.optimize_for_inference(sparse)):
        np.testing.assert_allclose(other.predict(x, verbose=0), want, rtol=1e-4, atol=1e-5)
    for old, new in zip(model.layers, sparse.layers, strict=True):
        assert old.trainable == new.trainable
        if old.name != "body":
            np.testing.assert_equal(new.get_weights(), old.get_weights())


def test_the_sparse_model_is_pruned_and_converted_as_keras_s_layers_are():
    sparse = keras_ssc.sparsify(small_network(), 0.8)
    masked = keras_ssc.pruning.apply_masks(sparse, {"stem": np.zeros((3, 3, 3, 32), bool)})
    assert list(keras_ssc.pruning.read_masks(masked)) == ["stem"]
    with pytest.raises(ValueError, match="`model` must"):
        keras_ssc.sparsify(sparse, 0.9)
    plan = keras_ssc.conversion_plan(small_network(), 0.8)
    assert [one.layer.name for one in plan.layers if one.pattern] == ["body"]
