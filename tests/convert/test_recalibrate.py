"""keras_ssc.recalibrate: exact moments, no weight changed, and accuracy back at once."""

import keras
import numpy as np
import pytest

import keras_ssc

L = keras.layers
pytestmark = pytest.mark.jax_long


def moving(layer):
    return [keras.ops.convert_to_numpy(one) for one in (layer.moving_mean, layer.moving_variance)]


@pytest.mark.parametrize("kind", [L.BatchNormalization, keras_ssc.layers.FusedBatchNormalization])
@pytest.mark.parametrize("data", ["array", "batches", "reversed", "dataset"])
def test_moments_are_those_of_all_images(kind, data):
    """Of the first layer: whatever its batches, it reads the same numbers."""
    model = keras.Sequential([keras.Input((4, 5, 3)), kind(name="first"), L.Dropout(0.5)])
    x = np.random.default_rng(1).normal(2, 3, (37, 4, 5, 3)).astype("float32")
    given, options = x, {"batch_size": 8}
    if data == "batches":
        given, options = iter([x[:5], x[5:]]), {}
    if data == "reversed":
        given = x[::-1]
    if data == "dataset":
        labels = np.zeros(37, "int32")
        given = keras_ssc.datasets.Batches(x, labels, 10, mean=(0, 0, 0), std=(1 / 255,) * 3)
        options = {}
    keras_ssc.recalibrate(model, given, **options)
    mean, variance = moving(model.get_layer("first"))
    wide = x.astype("float64")
    np.testing.assert_allclose(mean, wide.mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(variance, wide.var((0, 1, 2)), rtol=1e-5)


def reference(x, kernel, batch_size, epsilon):
    """Moments before and behind a 1x1 convolution, each batch normalised by its own."""
    parts = [x[start : start + batch_size] for start in range(0, len(x), batch_size)]
    parts = [part.astype("float64") for part in parts]
    first = np.concatenate(parts).mean((0, 1, 2)), np.concatenate(parts).var((0, 1, 2))
    normalised = [
        (part - part.mean((0, 1, 2))) / np.sqrt(part.var((0, 1, 2)) + epsilon) for part in parts
    ]
    behind = np.concatenate([part @ kernel[0, 0] for part in normalised])
    return first, (behind.mean((0, 1, 2)), behind.var((0, 1, 2)))


def test_a_nested_network_against_numpy_and_nothing_else_changes():
    inner = keras.Sequential([
        keras.Input((4, 4, 8)),
        keras_ssc.SSCConv2D(8, 1, g=0, p=2, use_bias=False, name="sparse"),
        L.BatchNormalization(name="second"),
    ])  # fmt: skip
    inputs = keras.Input((4, 4, 8))
    frozen = L.BatchNormalization(name="frozen", trainable=False)
    x = L.Dropout(0.5)(frozen(inner(L.BatchNormalization(name="first")(inputs))))
    model = keras.Model(inputs, x)
    x = np.random.default_rng(2).normal(1, 2, (20, 4, 4, 8)).astype("float32")
    kernel = keras.ops.convert_to_numpy(inner.get_layer("sparse").kernel)
    before = {one.path: keras.ops.convert_to_numpy(one).copy() for one in model.variables}
    keras_ssc.recalibrate(model, x, batch_size=6)
    expected = reference(x, kernel, 6, 1e-3)
    for layer, moments in zip((model.get_layer("first"), inner.layers[-1]), expected, strict=True):
        for found, wanted in zip(moving(layer), moments, strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
        assert layer.momentum == 0.99
        assert "call" not in vars(layer)
    for variable in model.variables:
        if "frozen" in variable.path or "moving" not in variable.path:
            np.testing.assert_array_equal(
                keras.ops.convert_to_numpy(variable), before[variable.path]
            )


def test_a_shared_layer_gets_the_moments_of_all_its_calls():
    norm, inputs = L.BatchNormalization(), [keras.Input((3,)), keras.Input((3,))]
    model = keras.Model(inputs, L.Add()([norm(one) for one in inputs]))
    random = np.random.default_rng(3)
    x = [random.normal(shift, 1, (12, 3)).astype("float32") for shift in (0, 5)]
    keras_ssc.recalibrate(model, x, batch_size=5)
    every = np.concatenate(x).astype("float64")
    mean, variance = moving(norm)
    np.testing.assert_allclose(mean, every.mean(0), rtol=1e-5)
    np.testing.assert_allclose(variance, every.var(0), rtol=1e-5)


def test_statistics_stay_after_an_error():
    model = keras.Sequential([keras.Input((3,)), L.BatchNormalization()])
    before = moving(model.layers[0])

    def broken():
        yield np.ones((4, 3), "float32")
        raise OSError("unreadable")

    with pytest.raises(OSError, match="unreadable"):
        keras_ssc.recalibrate(model, broken())
    for found, wanted in zip(moving(model.layers[0]), before, strict=True):
        np.testing.assert_array_equal(found, wanted)
    assert model.layers[0].momentum == 0.99


@pytest.mark.parametrize(
    ("model", "options", "error", "words"),
    [
        (L.Dense(1), {}, TypeError, r"`model` must be a keras\.Model"),
        (keras.Sequential([L.BatchNormalization()]), {}, ValueError, "`model` must be built"),
        (keras.Sequential([keras.Input((3,)), L.Dense(1)]), {}, ValueError, "BatchNormalization"),
        (None, {"batch_size": 0}, ValueError, "`batch_size`"),
        (None, {"x": np.zeros((0, 3))}, ValueError, "`x` must hold at least one batch"),
        (None, {"x": iter(())}, ValueError, "`x` must hold at least one batch"),
    ],
)
def test_refusals(model, options, error, words):
    model = model or keras.Sequential([keras.Input((3,)), L.BatchNormalization()])
    with pytest.raises(error, match=words):
        keras_ssc.recalibrate(model, **({"x": np.zeros((2, 3))} | options))


def test_accuracy_is_back_at_once_after_sparsify_from_dense():
    random = np.random.default_rng(4)
    classes = random.normal(size=(4, 8, 8, 3))
    y = np.arange(256) % 4
    x = (classes[y] + random.normal(0, 1, (256, 8, 8, 3))).astype("float32")
    inputs = keras.Input((8, 8, 3))
    a = inputs
    for _ in range(3):
        a = L.Conv2D(32, 3, padding="same", use_bias=False)(a)
        a = L.ReLU()(L.BatchNormalization(momentum=0.7)(a))
    dense = keras.Model(inputs, L.Dense(4)(L.GlobalAveragePooling2D()(a)))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    dense.compile(keras.optimizers.Adam(0.01), loss)
    dense.fit(x, y, batch_size=64, epochs=6, verbose=0)
    sparse = keras_ssc.sparsify(dense, 0.8, from_dense=True)

    def accuracy(model):
        return (model.predict(x, verbose=0).argmax(1) == y).mean()

    before = accuracy(sparse)
    keras_ssc.recalibrate(sparse, x, batch_size=64)
    print(accuracy(dense), before, accuracy(sparse))
    assert accuracy(dense) > 0.95
    assert before < 0.5
    assert accuracy(sparse) > before + 0.3
