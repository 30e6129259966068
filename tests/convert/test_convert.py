"""sparsify and densify: same graph, same names, other weights copied, equal outputs back."""

import keras
import numpy as np
import pytest

import keras_ssc

pytestmark = pytest.mark.jax

layers = keras.layers


def numbers(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def output(model, *inputs):
    return keras.ops.convert_to_numpy(model(list(inputs) if len(inputs) > 1 else inputs[0]))


def state(model):
    """Return what must not change: config text and weights."""
    return str(model.get_config()), [np.array(weight) for weight in model.get_weights()]


def assert_untouched(model, before):
    config, weights = state(model)
    assert config == before[0]
    for now, then in zip(weights, before[1], strict=True):
        np.testing.assert_array_equal(now, then)


def residual():
    """A small network with every geometry that Conv2D has."""
    x = inputs = keras.Input((12, 12, 3), name="image")
    x = layers.Conv2D(16, 3, padding="same", name="stem")(x)
    x = y = layers.BatchNormalization(name="norm")(x)
    x = layers.Conv2D(16, 3, padding="same", activation="relu", use_bias=False, name="a")(x)
    x = layers.Conv2D(16, (3, 1), dilation_rate=(2, 1), padding="same", name="b")(x)
    x = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    x = layers.Add(name="add")([x, y])
    x = layers.Conv2D(
        32, 3, strides=2, name="down", kernel_regularizer=keras.regularizers.L2(1e-4)
    )(x)
    x = layers.Conv2D(32, 1, name="pointwise")(keras.ops.relu(x))
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(inputs, layers.Dense(5, name="logits")(x), name="residual")


CONVERTED = ["a", "b", "down", "pointwise"]


def randomize(model):
    """Give every weight, biases and statistics included, a value of its own."""
    random = np.random.default_rng(1)
    model.set_weights([random.uniform(0.5, 1.5, w.shape) for w in model.get_weights()])


@pytest.fixture
def model():
    made = residual()
    randomize(made)
    return made


def test_graph_names_and_settings_stay(model):
    before = state(model)
    sparse = keras_ssc.sparsify(model, 0.8)
    assert_untouched(model, before)
    assert sparse.name == model.name
    assert [one.name for one in sparse.layers] == [one.name for one in model.layers]
    assert [one.output.shape for one in sparse.layers] == [one.output.shape for one in model.layers]
    kinds = {one.name for one in sparse.layers if isinstance(one, keras_ssc.SSCConv2D)}
    assert kinds == set(CONVERTED)
    for name in CONVERTED:
        old, new = model.get_layer(name).get_config(), sparse.get_layer(name).get_config()
        assert old.pop("groups") == 1
        assert {key: new[key] for key in old} == old


def test_other_weights_are_copied_and_kernels_drawn_anew(model):
    sparse = keras_ssc.sparsify(model, 0.8)
    for old, new in zip(model.layers, sparse.layers, strict=True):
        if old.name not in CONVERTED:
            for a, b in zip(old.get_weights(), new.get_weights(), strict=True):
                np.testing.assert_array_equal(a, b)
            continue
        if old.use_bias:
            np.testing.assert_array_equal(old.get_weights()[-1], new.get_weights()[-1])
        kernel = keras.ops.convert_to_numpy(new.kernel)
        assert not np.isin(kernel[kernel != 0], old.get_weights()[0]).any()


def test_from_dense_keeps_the_live_entries_of_the_kernel(model):
    sparse = keras_ssc.sparsify(model, 0.8, from_dense=True)
    for name in CONVERTED:
        new = sparse.get_layer(name)
        expected = np.where(new.pattern.mask(), model.get_layer(name).get_weights()[0], 0)
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(new.kernel), expected)


def test_sparsity_is_reached_by_the_converted_layers_together(model):
    for sparsity in (0.5, 0.8, 0.9):
        sparse = keras_ssc.sparsify(model, sparsity)
        found = keras_ssc.summary(sparse)
        assert found.layer_sparsity == pytest.approx(sparsity, abs=0.02)
        plan = keras_ssc.conversion_plan(model, sparsity)
        assert plan.layer_sparsity == pytest.approx(found.layer_sparsity, abs=1e-12)
        assert plan.network_sparsity == pytest.approx(found.network_sparsity, abs=1e-12)
        for layer in sparse.layers:
            if isinstance(layer, keras_ssc.SSCConv2D):
                assert layer.pattern.unread_channels == ()


def test_densify_gives_equal_outputs_in_plain_keras(model):
    sparse = keras_ssc.sparsify(model, 0.8)
    before = state(sparse)
    dense = keras_ssc.densify(sparse)
    assert_untouched(sparse, before)
    assert [type(one) for one in dense.layers] == [type(one) for one in model.layers]
    assert dense.get_layer("down").get_config() == model.get_layer("down").get_config()
    x = numbers(2, 12, 12, 3)
    np.testing.assert_allclose(output(dense, x), output(sparse, x), rtol=1e-5, atol=1e-5)


def test_a_compiled_model_stays_compiled_trains_and_reloads(model, tmp_path):
    model.compile("sgd", "mse", metrics=["mae"])
    sparse = keras_ssc.sparsify(model, 0.8, execution="dense")
    assert sparse.get_layer("a").execution == "dense"
    x, y = numbers(4, 12, 12, 3), numbers(4, 5)
    before = sparse.get_layer("a").get_weights()[0]
    sparse.fit(x, y, verbose=0)
    assert np.abs(sparse.get_layer("a").get_weights()[0] - before).max() > 0
    sparse.save(tmp_path / "sparse.keras")
    again = keras.models.load_model(tmp_path / "sparse.keras")
    np.testing.assert_allclose(output(again, x), output(sparse, x), rtol=1e-5, atol=1e-5)


def test_nested_and_shared_models_and_layers():
    inner = keras.Sequential(
        [keras.Input((8, 8, 16)), layers.Conv2D(16, 3, padding="same", name="inside")], name="inner"
    )
    shared = layers.Conv2D(16, 3, padding="same", name="shared")
    a, b = keras.Input((8, 8, 16), name="a"), keras.Input((8, 8, 16), name="b")
    x = layers.Conv2D(16, 3, padding="same", name="stem")(a)
    x, y = inner(shared(x)), inner(shared(b))
    model = keras.Model([a, b], [layers.Add()([x, y]), y])
    sparse = keras_ssc.sparsify(model, 0.8, from_dense=True)
    inside = sparse.get_layer("inner").get_layer("inside")
    assert isinstance(inside, keras_ssc.SSCConv2D)
    assert isinstance(sparse.get_layer("shared"), keras_ssc.SSCConv2D)
    # Kernel and bias of "stem"; two matrices and a bias of each of the two sparse layers.
    assert len(sparse.weights) == 2 + 3 + 3
    inputs = [numbers(1, 8, 8, 16), numbers(1, 8, 8, 16) + 1]
    dense = keras_ssc.densify(sparse)
    assert len(sparse.outputs) == len(dense.outputs) == 2
    for one, other in zip(dense(inputs), sparse(inputs), strict=True):
        np.testing.assert_allclose(
            keras.ops.convert_to_numpy(one), keras.ops.convert_to_numpy(other), atol=1e-5
        )


def test_point_wise_dense_layers_are_converted_when_asked():
    model = keras.Sequential([
        keras.Input((6, 6, 16)),
        layers.Conv2D(16, 3, name="first"),
        layers.Dense(32, activation="gelu", name="expand"),
        layers.Dense(16, use_bias=False, name="project"),
        layers.GlobalAveragePooling2D(),
        layers.Dense(4, name="logits"),
    ])  # fmt: skip
    with pytest.raises(ValueError, match="must hold a convolution to convert"):
        keras_ssc.sparsify(model, 0.5)
    sparse = keras_ssc.sparsify(model, 0.5, dense=True, from_dense=True)
    for name in ("expand", "project"):
        old, new = model.get_layer(name), sparse.get_layer(name)
        assert isinstance(new, keras_ssc.SSCConv2D)
        assert new.pattern.g == 0
        mask = new.pattern.mask()[0, 0]
        expected = np.where(mask, keras.ops.convert_to_numpy(old.kernel), 0)
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(new.kernel)[0, 0], expected)
    assert sparse.output_shape == model.output_shape


def test_point_wise_streams_mix():
    """Between two dense ends every channel reaches every other, though p is 4 in all layers."""
    x = inputs = keras.Input((1, 1, 16))
    for block in range(4):
        y = layers.Conv2D(32, 1, use_bias=False, name=f"expand{block}")(x)
        y = layers.DepthwiseConv2D(1, use_bias=False)(y)
        y = layers.Conv2D(16, 1, use_bias=False, name=f"project{block}")(y)
        x = layers.Add()([x, y])
    sparse = keras_ssc.sparsify(keras.Model(inputs, x), 0.75, keep=())
    settings = {one.pattern.p for one in sparse.layers if isinstance(one, keras_ssc.SSCConv2D)}
    assert settings == {4}
    sparse.set_weights([np.ones_like(weight) for weight in sparse.get_weights()])
    reached = output(sparse, np.eye(16, dtype="float32").reshape(16, 1, 1, 16))
    assert (reached > 0).all()


def test_an_adapted_normalization_still_normalizes():
    normalization = layers.Normalization(name="normalize")
    normalization.adapt(numbers(20, 8, 8, 3) * 3 + 7)
    model = keras.Sequential([
        keras.Input((8, 8, 3)), normalization,
        layers.Conv2D(16, 3), layers.Conv2D(16, 3, name="second"),
    ])  # fmt: skip
    sparse = keras_ssc.sparsify(model, 0.5)
    x = numbers(2, 8, 8, 3) + 7
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(sparse.layers[0](x)),
        keras.ops.convert_to_numpy(normalization(x)),
        rtol=1e-6,
    )


def test_frozen_layers_and_precision_are_kept():
    model = keras.Sequential([
        keras.Input((8, 8, 3)),
        layers.Conv2D(16, 3, dtype="mixed_bfloat16"),
        layers.Conv2D(16, 3, dtype="mixed_bfloat16", name="frozen"),
    ])  # fmt: skip
    model.get_layer("frozen").trainable = False
    sparse = keras_ssc.sparsify(model, 0.5)
    frozen = sparse.get_layer("frozen")
    assert not frozen.trainable
    assert frozen.trainable_weights == []
    assert frozen.compute_dtype == "bfloat16"
    assert frozen.variable_dtype == "float32"
