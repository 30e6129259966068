"""The summary of layers that are counted, never trained, here: other dimensions and precisions."""

import keras

import keras_ssc

layers = keras.layers


def test_bytes_follow_the_stored_precision():
    model = keras.Sequential([
        keras.Input((8, 8, 8)),
        layers.Conv2D(8, 3, dtype="bfloat16"),
        keras_ssc.SSCConv2D(8, 3, g=4, p=2, dtype="float16"),
        layers.Conv2D(8, 3, dtype="mixed_bfloat16"),
    ])  # fmt: skip
    found = keras_ssc.summary(model).rows
    assert [row["dense_bytes"] // row["dense_weights"] for row in found] == [2, 2, 4]
    assert found[1]["bytes"] == 2 * found[1]["live_weights"]


def test_other_dimensions():
    model = keras.Sequential([
        keras.Input((8, 8, 8, 2)), layers.Conv3D(3, 3, name="volume"), layers.Reshape((36, 18)),
        layers.Conv1D(4, 5, name="line"), layers.SeparableConv1D(2, 3, name="both"),
        layers.DepthwiseConv1D(3, name="deep"),
    ])  # fmt: skip
    found = {row["name"]: row for row in keras_ssc.summary(model).rows}
    assert found["volume"]["macs"] == 216 * 27 * 2 * 3
    assert found["line"]["macs"] == 32 * 5 * 18 * 4
    assert found["both"]["macs"] == 30 * 4 * 2  # its second row, the point-wise kernel
    assert found["deep"]["macs"] == 28 * 3 * 2
