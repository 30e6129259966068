"""The table of weights and multiply-adds against counts by hand."""

import keras
import pytest

import keras_ssc

pytestmark = pytest.mark.jax

layers = keras.layers


def test_dense_resnet32_has_the_papers_counts():
    found = keras_ssc.summary(keras_ssc.applications.ResNet32(sparsity=0.0))
    assert found.trainable_parameters == found.dense_trainable_parameters == 1_860_522
    assert found.live_weights == found.dense_weights == 1_855_584
    assert round(found.macs / 1e6) == 276
    assert found.network_sparsity == found.layer_sparsity == 0


def test_every_kind_of_layer_by_hand():
    inner = keras.Sequential([keras.Input((4, 4, 8)), layers.DepthwiseConv2D(3, name="depthwise")])
    model = keras.Sequential(
        [
            keras.Input((8, 8, 8)),
            keras_ssc.SSCConv2D(8, 3, strides=2, padding="same", g=4, p=3, name="sparse"),
            inner,
            layers.Conv2D(6, 1, groups=2, name="grouped"),
            layers.SeparableConv2D(5, 2, name="separable"),
            layers.Conv2DTranspose(2, 3, strides=2, name="transposed"),
            layers.Flatten(),
            layers.Dense(3, name="dense"),
        ]
    )
    found = keras_ssc.summary(model)
    live = keras_ssc.SSCPattern(8, 8, 3, 4, 3).weight_count
    expected = [
        ("sparse", live, 576, 16),
        ("depthwise", 72, 72, 4),
        ("grouped", 24, 24, 4),
        ("separable", 24, 24, 1),
        ("separable", 30, 30, 1),
        ("transposed", 90, 90, 1),
        ("dense", 54, 54, 1),
    ]
    assert [(row["name"], row["live_weights"], row["dense_weights"]) for row in found.rows] == [
        (name, sparse, dense) for name, sparse, dense, _ in expected
    ]
    assert found.macs == sum(sparse * pixels for _, sparse, _, pixels in expected)
    assert found.dense_macs == sum(dense * pixels for _, _, dense, pixels in expected)
    assert found.network_sparsity == 1 - (live + 294) / (576 + 294)
    assert found.layer_sparsity == 1 - live / 576
    assert (found.bytes, found.dense_bytes) == (4 * (live + 294), 4 * (576 + 294))
    assert found.parameters == model.count_params()
    assert found.dense_trainable_parameters == model.count_params() + 576 - live


def test_text_names_every_layer_and_the_totals():
    model = keras.Sequential(
        [keras.Input((8, 8, 64)), keras_ssc.SSCConv2D(64, 3, g=8, p=3, name="mine")]
    )
    text = str(keras_ssc.summary(model))
    words = ("mine", "SSCConv2D", "3x3x64x64", "6x6x64", "3,456", "36,864", "0.9062", "124,416",
             "13,824", "147,456", "Network sparsity")  # fmt: skip
    assert [word for word in words if word not in text] == []


def test_rows_and_totals_are_plain_tables():
    model = keras.Sequential(
        [keras.Input((8, 8, 64)), keras_ssc.SSCConv2D(64, 3, g=8, p=3, name="mine")]
    )
    found = keras_ssc.summary(model)
    (row,) = found.rows
    assert row["kernel_shape"] == (3, 3, 64, 64)
    assert (row["g"], row["p"], row["output_shape"]) == (8, 3, (6, 6, 64))
    assert found.totals["dense_macs"] == 36 * 36_864
    assert found.totals["dense_trainable_parameters"] == 36_864 + 64
    for name, value in found.totals.items():
        assert value == getattr(found, name)
        assert isinstance(value, (int, float))


def test_unknown_sizes_are_not_guessed():
    model = keras.Sequential([keras.Input((None, None, 8)), keras_ssc.SSCConv2D(8, 3, g=4, p=2)])
    found = keras_ssc.summary(model)
    assert found.macs is None
    assert "?" in str(found)


def test_channels_first():
    model = keras.Sequential(
        [
            keras.Input((8, 6, 5)),
            keras_ssc.SSCConv2D(4, 3, g=4, p=2, data_format="channels_first"),
        ]
    )
    found = keras_ssc.summary(model)
    assert found.macs == 4 * 3 * found.live_weights


def test_unbuilt_model_is_a_clear_error():
    with pytest.raises(ValueError, match="`model` must be built"):
        keras_ssc.summary(keras.Sequential([keras_ssc.SSCConv2D(8, 3)]))
