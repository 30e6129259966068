"""SeparableConv2D in sparsify: a depthwise layer, then a sparse point-wise one."""

import keras
import numpy as np
import pytest

import keras_ssc

L = keras.layers


def separable(**options):
    """A model whose middle layer is separable, and that layer."""
    inputs = keras.Input((8, 8, 16))
    middle = L.SeparableConv2D(24, 3, name="middle", **options)
    x = middle(L.Conv2D(16, 1, name="first")(inputs))
    return keras.Model(inputs, L.Dense(3, name="head")(L.GlobalAveragePooling2D()(x))), middle


def reference(x, depthwise, pointwise, bias):
    """A slow separable convolution: 3x3, "same", stride 1."""
    images, height, width, channels = x.shape
    multiplier = depthwise.shape[3]
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    y = np.zeros((images, height, width, channels * multiplier))
    for row, column in np.ndindex(3, 3):
        part = padded[:, row : row + height, column : column + width]
        for one in range(multiplier):
            y[..., one::multiplier] += part * depthwise[row, column, :, one]
    return y @ pointwise[0, 0] + bias


@pytest.mark.parametrize("multiplier", [1, 2])
def test_kernels_are_carried_over_exactly(multiplier):
    model, middle = separable(padding="same", depth_multiplier=multiplier)
    middle.bias.assign(np.arange(24) / 7)
    with_warning = keras_ssc.conversion_plan(model, 0.75)
    assert with_warning.converted == ["middle"]
    sparse = keras_ssc.sparsify(model, 0.75, from_dense=True)
    names = [layer.name for layer in sparse.layers]
    assert names[2:4] == ["middle_depthwise", "middle"]
    depthwise, pointwise = sparse.layers[2:4]
    assert (type(depthwise), type(pointwise)) == (L.DepthwiseConv2D, keras_ssc.SSCConv2D)
    np.testing.assert_array_equal(depthwise.get_weights()[0], middle.get_weights()[0])
    live = pointwise.pattern.mask()
    kernel = np.asarray(keras.ops.convert_to_numpy(middle.pointwise_kernel))
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(pointwise.kernel), kernel * live)
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 16)).astype("float32")
    found = keras.ops.convert_to_numpy(pointwise(depthwise(x)))
    expected = reference(x, middle.get_weights()[0], kernel * live, np.arange(24) / 7)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_geometry_activation_regularizers_constraints_and_trainable_are_kept():
    model, middle = separable(
        strides=2,
        activation="relu",
        use_bias=False,
        depthwise_regularizer=keras.regularizers.L2(0.1),
        pointwise_regularizer=keras.regularizers.L1(0.2),
        depthwise_constraint="non_neg",
        pointwise_constraint="max_norm",
        trainable=False,
    )
    sparse = keras_ssc.sparsify(model, 0.75)
    depthwise, pointwise = sparse.get_layer("middle_depthwise"), sparse.get_layer("middle")
    assert (depthwise.strides, pointwise.strides) == ((2, 2), (1, 1))
    assert depthwise.activation is keras.activations.linear
    assert pointwise.activation is keras.activations.relu
    assert not depthwise.use_bias
    assert not pointwise.use_bias
    assert float(depthwise.depthwise_regularizer.l2) == pytest.approx(0.1)
    assert float(pointwise.kernel_regularizer.l1) == pytest.approx(0.2)
    assert isinstance(depthwise.depthwise_constraint, keras.constraints.NonNeg)
    assert isinstance(pointwise.kernel_constraint, keras.constraints.MaxNorm)
    assert not depthwise.trainable
    assert not pointwise.trainable
    assert sparse.output_shape == model.output_shape
    assert pointwise.output.shape == middle.output.shape


def test_in_sequential_nested_and_shared_models(tmp_path):
    shared = L.SeparableConv2D(16, 3, padding="same", name="shared")
    inner = keras.Sequential(
        [keras.Input((8, 8, 16)), L.SeparableConv2D(16, 3, padding="same", name="inner")]
    )
    inputs = keras.Input((8, 8, 16))
    x = shared(inner(shared(L.Conv2D(16, 1, name="first")(inputs))))
    model = keras.Model(inputs, L.GlobalAveragePooling2D()(x))
    sparse = keras_ssc.sparsify(model, 0.75, from_dense=True)
    assert [layer.name for layer in sparse.layers].count("shared") == 1
    assert len(sparse.layers) == 6  # one depthwise layer, called twice
    sparse.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 16)).astype("float32")
    expected = sparse.predict_on_batch(x)
    np.testing.assert_allclose(loaded.predict_on_batch(x), expected, atol=1e-6)
    dense = keras_ssc.densify(sparse)
    np.testing.assert_allclose(dense.predict_on_batch(x), expected, atol=1e-5)


def test_a_kept_separable_layer_stays():
    model, _ = separable()
    sparse = keras_ssc.sparsify(
        keras.Model(model.inputs, L.Conv2D(16, 3)(model.get_layer("middle").output)), 0.75,
        keep=["middle", "first"],
    )  # fmt: skip
    assert type(sparse.get_layer("middle")) is L.SeparableConv2D
