"""Options of single builders: width, sparse shortcuts and classifier, fused layers, image sizes."""

import math

import keras
import numpy as np
import pytest
from test_every_application import SHORT_AND_LONG

import keras_ssc
from keras_ssc import applications
from keras_ssc.applications import MobileNetV2, ResNet20, ResNet50, ShuffleNetV2

SMALL = {"input_shape": (16, 16, 3)}


def trainable(model):
    return sum(math.prod(variable.shape) for variable in model.trainable_variables)


def sparse_layers(model):
    return [layer for layer in model.layers if isinstance(layer, keras_ssc.SSCConv2D)]


def test_width_16_is_the_plain_resnet():
    assert trainable(ResNet20(width=16, sparsity=0, **SMALL)) == 272_474


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("ResNet18", 11_689_512),
        ("ResNet50", 25_557_032),
        ("MobileNetV2", 3_504_872),
        ("ShuffleNetV2", 2_278_604),
    ],
)
def test_large_images_give_torchvisions_networks(name, parameters):
    model = getattr(applications, name)(sparsity=0, input_shape=(224, 224, 3), classes=1000)
    assert trainable(model) == parameters
    last = model.layers[[layer.name for layer in model.layers].index("avg_pool") - 1]
    assert last.output.shape[1:3] == (7, 7)


@pytest.mark.parametrize("builder", [MobileNetV2, ShuffleNetV2])
def test_images_up_to_64_pixels_take_the_form_for_small_images(builder):
    sizes = {64: 8, 65: 3}
    for side, expected in sizes.items():
        body = builder(input_shape=(side, side, 3), include_top=False)
        assert body.output_shape[1] == expected


@pytest.mark.parametrize("name", SHORT_AND_LONG)
def test_initial_weights_have_the_dense_scale_or_the_live_one(name):
    """std * sqrt(K K N / 2) is 1, or 1 / sqrt(density), over all sparse layers of a network."""
    for scale in ("dense", "live"):
        keras.utils.set_random_seed(0)
        arguments = SMALL if scale == "dense" else {"initial_scale": scale, **SMALL}
        ratios = []
        for layer in sparse_layers(getattr(applications, name)(**arguments)):
            pattern = layer.pattern
            expected = 2 / (math.prod(pattern.kernel_size) * pattern.filters)
            expected /= pattern.density if scale == "live" else 1
            values = [np.ravel(weights) for weights in layer.trainable_variables]
            ratios.append(np.concatenate(values) / expected**0.5)
        assert np.concatenate(ratios).std() == pytest.approx(1, rel=0.03)


def test_shortcuts_are_sparse_where_asked():
    model = ResNet20(g=4, p=3, sparse_shortcuts=True, **SMALL)
    shortcuts = [layer for layer in sparse_layers(model) if "shortcut" in layer.name]
    assert [(one.pattern.g, one.pattern.p) for one in shortcuts] == [(0, 3), (0, 3)]
    dense = ResNet50(g=2, p=2, sparse_shortcuts=False, **SMALL)
    assert not any("shortcut" in layer.name for layer in sparse_layers(dense))


def test_classifier_is_a_sparse_convolution_where_asked():
    model = ResNet20(g=4, p=8, sparse_classifier=True, classes=100, **SMALL)
    logits = model.get_layer("logits")
    assert (logits.pattern.g, logits.pattern.p) == (0, 8)
    assert logits.count_params() == 128 * 100 // 8 + 100
    assert model.output_shape == (None, 100)


def test_sparse_classifier_and_shortcuts_reach_98_percent():
    options = {"sparse_classifier": True, "sparse_shortcuts": True, "classes": 100}
    model = applications.ResNet32(sparsity=0.98, **options, **SMALL)
    assert keras_ssc.summary(model).network_sparsity == pytest.approx(0.98, abs=0.003)


@pytest.mark.parametrize("builder", [MobileNetV2, ShuffleNetV2])
@pytest.mark.parametrize("g", [None, 8])
def test_fused_layers_have_the_weights_of_section_2_3(builder, g):
    model = builder(fused=True, **SMALL) if g is None else builder(fused=True, g=g, p=1, **SMALL)
    assert not any("depthwise" in layer.name for layer in model.layers)
    fused = [layer.pattern for layer in sparse_layers(model) if layer.name.endswith("fused")]
    assert len(fused) == (17 if builder is MobileNetV2 else 19)
    for pattern in fused:
        kxk = pattern.in_channels // (g or pattern.in_channels)
        # Half the filters have 5 taps, half 4: K^2 - c = 4.5 on average.
        expected = pattern.filters * (4.5 * kxk + pattern.in_channels - kxk)
        assert pattern.weight_count == expected
        assert pattern.unread_channels == ()


def test_fused_network_runs():
    model = MobileNetV2(fused=True, **SMALL)
    probabilities = model.predict(keras_ssc.datasets.load("digits").x_train[:2, :16, :16] / 255)
    assert probabilities.sum() == pytest.approx(2, rel=1e-5)


@pytest.mark.parametrize(("pools", "side"), [(0, 16), (1, 8), (2, 4), (3, 2), (4, 1)])
def test_pools_are_the_first_ones_and_change_no_weight(pools, side):
    model = applications.VGG11(sparsity=0, pools=pools, **SMALL)
    assert model.get_layer("stage5_conv2").output.shape[1:3] == (side, side)
    names = [layer.name for layer in model.layers if "pool" in layer.name]
    assert names == [f"stage{stage}_pool" for stage in range(2, pools + 2)] + ["avg_pool"]
    assert trainable(model) == 9_228_362


def test_refusals_name_the_argument():
    with pytest.raises(ValueError, match="`pools` must be at most 4"):
        applications.VGG13(pools=5)
    with pytest.raises(TypeError, match="`pools` must be an integer"):
        applications.VGG16(pools=True)
    with pytest.raises(ValueError, match="`g` must be 0"):
        MobileNetV2(g=4, p=2)
    with pytest.raises(ValueError, match="`width`"):
        ResNet20(width=0)
    with pytest.raises(ValueError, match="`input_shape` is too small"):
        applications.VGG19(input_shape=(8, 8, 3))
