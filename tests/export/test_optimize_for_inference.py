"""`optimize_for_inference`: equal outputs, by one operation where the layers are in a row."""

import threading

import keras
import numpy as np
import pytest
from graphs import called_operations
from inference_models import MODELS, NETWORKS, chain, images, lively

import keras_ssc
from keras_ssc.layers import InferenceNetwork

layers = keras.layers


def networks_in(model):
    """The layers of a model that are whole networks."""
    return [layer for layer in model.layers if isinstance(layer, InferenceNetwork)]


def assert_alike(found, expected):
    """Equal but for the order of sums."""
    for one, other in zip(keras.tree.flatten(found), keras.tree.flatten(expected), strict=True):
        one, other = (keras.ops.convert_to_numpy(x) for x in (one, other))
        np.testing.assert_allclose(one, other, atol=1e-5 * max(1, np.abs(other).max()), rtol=0)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_computes_the_same(name):
    build = getattr(keras_ssc.applications, name.split()[0])
    model = lively(build(classes=7, classifier_activation=None, **NETWORKS[name]))
    fast = keras_ssc.optimize_for_inference(model)
    assert [type(layer) for layer in fast.layers] == [layers.InputLayer, InferenceNetwork]
    # One image, fewer than come together, and more, with some left over.
    for batch in (1, 3, 37):
        x = images(batch, model.input_shape[1:])
        found = fast.predict_on_batch(x)
        assert_alike(found, model.predict_on_batch(x))
        np.testing.assert_array_equal(found, fast.predict_on_batch(x))


def test_the_network_is_one_operation():
    import tensorflow as tf

    model = keras_ssc.applications.ResNet20(sparsity=0.9)
    fast = keras_ssc.optimize_for_inference(model)
    call = tf.function(lambda x: fast(x, training=False))
    operations = called_operations(call, tf.zeros((2, 32, 32, 3)))
    assert "KerasSscNetwork" in operations
    assert not operations & {"KerasSscConv2D", "Conv2D", "AddV2", "Relu"}


@pytest.mark.backends
def test_an_optimized_network_is_saved_and_loaded(tmp_path):
    model = lively(keras_ssc.applications.ResNet20(sparsity=0.9))
    fast = keras_ssc.optimize_for_inference(model)
    fast.save(tmp_path / "fast.keras")
    again = keras.models.load_model(tmp_path / "fast.keras")
    x = images(2, (32, 32, 3))
    np.testing.assert_array_equal(again.predict_on_batch(x), fast.predict_on_batch(x))
    assert keras_ssc.summary(again).network_sparsity == keras_ssc.summary(model).network_sparsity
    assert not again.trainable_variables


@pytest.mark.backends
def test_new_weights_count():
    model = lively(keras_ssc.applications.ResNet20(sparsity=0.9))
    fast = keras_ssc.optimize_for_inference(model)
    x = images(2, (32, 32, 3))
    before = fast.predict_on_batch(x)
    model.set_weights([1.1 * value for value in model.get_weights()])
    folded = keras_ssc.fold(model)
    for own, variable in zip(folded.weights, fast.weights, strict=True):
        variable.assign(keras.ops.convert_to_numpy(own))
    after = fast.predict_on_batch(x)
    assert_alike(after, folded.predict_on_batch(x))
    assert np.abs(after - before).max() > 1e-3
    for variable in (*fast.weights, *folded.weights):
        variable.assign_add(0.01 * np.ones(variable.shape, "float32"))
    assert_alike(fast.predict_on_batch(x), folded.predict_on_batch(x))
    assert_alike(fast(x), folded(x))  # outside of a compiled function


@pytest.mark.backends
def test_weights_given_to_a_call_count():
    fast = keras_ssc.optimize_for_inference(lively(MODELS["pooling"]()))
    x = images(2, fast.input_shape[1:])
    before = keras.ops.convert_to_numpy(fast(x))  # its own; compiled by now
    given = [2 * keras.ops.convert_to_tensor(one) for one in fast.non_trainable_variables]
    found, _ = fast.stateless_call([], given, keras.ops.convert_to_tensor(x))
    assert np.abs(keras.ops.convert_to_numpy(found) - before).max() > 1e-3
    for variable, value in zip(fast.non_trainable_variables, given, strict=True):
        variable.assign(value)
    assert_alike(found, fast(x))


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow's strategies")
def test_variables_of_a_distribution_strategy():
    import tensorflow as tf

    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        fast = keras_ssc.optimize_for_inference(lively(MODELS["pooling"]()))
        x = images(2, fast.input_shape[1:])
        assert_alike(fast.predict_on_batch(x), fast(x))
        assert_alike(fast(x), fast.layers[1].network(x))


@pytest.mark.backends
@pytest.mark.parametrize("name", MODELS)
def test_all_kinds_of_layers(name):
    keras.utils.set_random_seed(0)
    model = lively(MODELS[name]())
    fast = keras_ssc.optimize_for_inference(model)
    count = {"not all": 2, "nested": 0, "an input as output": 0}.get(name, 1)
    assert len(networks_in(fast)) == count
    shapes = [(9, 10, x.shape[-1]) for x in model.inputs]
    for batch in (1, 5):
        x = [images(batch, shape, seed) for seed, shape in enumerate(shapes)]
        x = x if len(x) > 1 else x[0]
        assert_alike(fast.predict_on_batch(x), model.predict_on_batch(x))


def test_without_images():
    fast = keras_ssc.optimize_for_inference(chain(layers.Conv2D(4, 3), layers.ReLU()))
    assert fast(np.zeros((0, 9, 10, 8), "float32")).shape == (0, 7, 8, 4)


def test_integers_are_taken_as_they_were():
    model = chain(layers.Conv2D(4, 3), layers.ReLU())
    fast = keras_ssc.optimize_for_inference(model)
    x = np.random.default_rng(0).integers(0, 255, (2, 9, 10, 8))
    assert_alike(fast.predict_on_batch(x), model.predict_on_batch(x))


def test_other_precisions_stay_with_their_layers():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = chain(layers.Conv2D(4, 3), layers.ReLU())
    finally:
        keras.config.set_dtype_policy("float32")
    assert not networks_in(keras_ssc.optimize_for_inference(model))


def test_where_native_operations_cannot_go(tmp_path):
    import tensorflow as tf

    model = lively(chain(layers.Conv2D(8, 3), keras_ssc.SSCConv2D(8, 3, g=4, p=3)))
    fast = keras_ssc.optimize_for_inference(model)
    x = images(2, (9, 10, 8))
    expected = model.predict_on_batch(x)
    assert_alike(tf.function(fast, jit_compile=True)(x), expected)
    with keras_ssc.portable():
        assert "KerasSscNetwork" not in called_operations(tf.function(lambda x: fast(x)), x)
    keras_ssc.export(fast, tmp_path / "saved", "tf_saved_model")
    assert_alike(tf.saved_model.load(tmp_path / "saved").serve(x), expected)


def test_there_are_no_gradients():
    import tensorflow as tf

    fast = keras_ssc.optimize_for_inference(chain(layers.Conv2D(8, 3), layers.ReLU()))
    x = tf.constant(images(1, (9, 10, 8)))

    def slope():
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = fast(x)
        return tape.gradient(y, x)

    with pytest.raises(LookupError, match="train the model"):
        slope()


def test_several_threads_at_a_time():
    model = lively(keras_ssc.applications.ResNet20(sparsity=0.9))
    fast = keras_ssc.optimize_for_inference(model)
    batches = {batch: images(batch, (32, 32, 3), batch) for batch in (1, 2, 5, 9)}
    expected = {batch: fast.predict_on_batch(x) for batch, x in batches.items()}
    wrong = []

    def work(batch):
        for _ in range(5):
            if not np.array_equal(fast.predict_on_batch(batches[batch]), expected[batch]):
                wrong.append(batch)

    threads = [threading.Thread(target=work, args=(batch,)) for batch in batches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_refusals():
    with pytest.raises(TypeError, match=r"keras\.Model"):
        keras_ssc.optimize_for_inference("model")
    with pytest.raises(ValueError, match="built"):
        keras_ssc.optimize_for_inference(keras.Sequential([layers.Dense(2)]))


def test_a_dense_layer_of_many_weights_stays_keras_s(monkeypatch):
    """Keras's product is the faster one there; what stands before and behind it stays native."""
    from keras_ssc.layers import network_steps

    monkeypatch.setattr(network_steps, "MOST_DENSE_WEIGHTS", 100)
    inputs = keras.Input((4, 4, 8))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(8, 3)(inputs))
    x = keras.layers.Dense(13, activation="relu", name="large")(x)
    model = lively(keras.Model(inputs, keras.layers.Dense(5, name="small")(x)))
    fast = keras_ssc.optimize_for_inference(model)
    assert "large" in [layer.name for layer in fast.layers]
    assert sum(type(layer).__name__ == "InferenceNetwork" for layer in fast.layers) >= 1
    x = np.random.default_rng(1).normal(size=(3, 4, 4, 8)).astype("float32")
    np.testing.assert_allclose(*(np.asarray(one(x)) for one in (fast, model)), atol=1e-5)
