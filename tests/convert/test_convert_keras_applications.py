"""sparsify on eight models of keras.applications: how many layers, and, by hand, all of it.

`make campaign` builds each at full size, sparsifies it, trains one step, saves and reloads it.
"""

import keras
import numpy as np
import pytest

import keras_ssc

# Name, layers converted, Conv2D layers: first convolution (and MobileNetV3's classifier, a
# convolution) stay dense, and so do the depthwise convolutions, which ConvNeXt writes with groups.
MODELS = [
    ("ResNet50", 52, 53),
    ("ResNet50V2", 52, 53),
    ("VGG16", 12, 13),
    ("DenseNet121", 119, 120),
    ("EfficientNetB0", 64, 65),
    ("MobileNetV3Small", 41, 43),
    ("ConvNeXtTiny", 3, 22),
    ("NASNetMobile", 195, 36),
]
# VGG16's large Dense layers are not what is tested.
SMALL = {"VGG16": {"input_shape": (32, 32, 3), "classes": 10}}


def convolutions(model):
    return [one for one in keras_ssc.summary(model).rows if one["type"] == "Conv2D"]


@pytest.mark.parametrize(("name", "converted", "convolutions_"), MODELS)
def test_number_of_converted_layers(name, converted, convolutions_):
    model = getattr(keras.applications, name)(weights=None, **SMALL.get(name, {}))
    assert len(convolutions(model)) == convolutions_
    plan = keras_ssc.conversion_plan(model, 0.9)
    assert len(plan.converted) == converted
    # Of a separable convolution the 1x1 kernel is converted.
    assert plan.layer_sparsity == pytest.approx(0.9, abs=0.003)
    assert all(one.pattern.unread_channels == () for one in plan.layers if one.pattern)
    # Whatever else has a kernel is named with a reason.
    assert len(plan.layers) >= convolutions_
    assert all(one.note for one in plan.layers if not one.pattern)


def test_point_wise_dense_layers_of_convnext():
    model = keras.applications.ConvNeXtTiny(weights=None, classes=10)
    plan = keras_ssc.conversion_plan(model, 0.9, dense=True)
    assert len(plan.converted) == 3 + 36
    assert plan.network_sparsity > 0.88


def test_resnet50_whole():
    model = keras.applications.ResNet50(weights=None, input_shape=(64, 64, 3), classes=10)
    sparse = keras_ssc.sparsify(model, 0.9)
    found = keras_ssc.summary(sparse)
    assert sum(row["g"] is not None for row in found.rows) == 52
    assert found.layer_sparsity == pytest.approx(0.9, abs=0.003)
    assert found.dense_weights == keras_ssc.summary(model).dense_weights
    dense = keras_ssc.densify(sparse)
    x = np.random.default_rng(0).normal(size=(1, 64, 64, 3)).astype("float32")
    np.testing.assert_allclose(dense(x), sparse(x), atol=1e-5)


@pytest.mark.campaign
@pytest.mark.parametrize(("name", "converted", "convolutions_"), MODELS)
def test_one_training_step_saved_and_reloaded(name, converted, convolutions_, tmp_path):
    model = getattr(keras.applications, name)(weights=None)
    sparse = keras_ssc.sparsify(model, 0.9)
    plan = keras_ssc.conversion_plan(model, 0.9)
    found = keras_ssc.summary(sparse)
    assert sum(row["g"] is not None for row in found.rows) == len(plan.converted) == converted
    shape = tuple(size or 224 for size in sparse.input_shape[1:])
    x = np.random.default_rng(0).normal(size=(2, *shape)).astype("float32")
    layer = next(one.layer.name for one in plan.layers if one.pattern)
    before = [weight.copy() for weight in sparse.get_weights()]
    sparse.compile(keras.optimizers.SGD(0.01), "sparse_categorical_crossentropy")
    loss = sparse.train_on_batch(x, np.array([1, 2]))
    assert np.isfinite(loss)
    after = sparse.get_weights()
    assert sum(not np.array_equal(a, b) for a, b in zip(before, after, strict=True)) > converted
    sparse.save(tmp_path / "sparse.keras")
    again = keras.models.load_model(tmp_path / "sparse.keras")
    np.testing.assert_allclose(again(x[:1]), sparse(x[:1]), rtol=1e-5, atol=1e-6)
    dense = keras_ssc.densify(sparse)
    difference = float(np.abs(np.asarray(dense(x[:1])) - np.asarray(sparse(x[:1]))).max())
    assert difference < 1e-5
    megabytes = (tmp_path / "sparse.keras").stat().st_size / 1e6
    print(
        f"\n| {name} | {converted} of {convolutions_} | {found.layer_sparsity:.4f} | "
        f"{found.network_sparsity:.4f} | {len(plan.too_narrow)} | {loss:.3f} | {megabytes:.1f} MB "
        f"| {difference:.1e} | {layer} |"
    )
