"""The plan of a conversion: what is converted, what stays, and why."""

import keras
import numpy as np
import pytest
from test_convert import CONVERTED, residual

import keras_ssc

layers = keras.layers


def test_keep_takes_names_or_a_function():
    model = residual()

    def converted(keep):
        return keras_ssc.conversion_plan(model, 0.8, keep=keep).converted

    assert converted(None) == CONVERTED
    assert converted(["stem", "a"]) == ["b", "down", "pointwise"]
    assert converted(()) == ["stem", *CONVERTED]
    assert converted(lambda layer: layer.name != "down") == ["down"]


def test_what_stays_is_named_with_the_reason():
    x = inputs = keras.Input((16, 16, 16))
    x = layers.Conv2D(16, 3, name="first")(x)
    x = layers.Conv2D(16, 3, groups=4, name="grouped")(x)
    x = layers.SeparableConv2D(16, 3, name="separable")(x)
    x = layers.Conv2DTranspose(16, 3, name="transposed")(x)
    x = layers.Conv2D(4, 3, name="narrow")(x)
    x = layers.Conv2D(32, 3, name="wide")(x)
    x = layers.Dense(8, name="pointwise")(x)
    x = layers.TimeDistributed(layers.Conv1D(16, 3), name="wrapped")(x)
    x = keras_ssc.SSCConv2D(8, 3, sparsity=0.8, name="ours")(x)
    model = keras.Model(inputs, layers.Conv2D(3, 1, activation="sigmoid", name="head")(x))
    plan = keras_ssc.conversion_plan(model, 0.85)
    assert plan.left_alone == {
        "first": "first convolution",
        "grouped": "4 groups",
        "transposed": "not a Conv2D",
        "pointwise": "point-wise Dense: dense=True converts it",
        "ours": "sparse already",
        "head": "classifier",
    }
    assert plan.converted == ["separable", "narrow", "wide"]
    for name in (*plan.left_alone, "narrow", "4 groups"):
        assert name in str(plan)
    rows = {row["name"]: row for row in plan.rows}
    macs = {"grouped": 12 * 12 * 576, "transposed": 10 * 10 * 2304}
    assert [rows[name]["weights"] for name in macs] == [576, 2304]
    total = keras_ssc.summary(model).macs
    for name, expected in macs.items():
        assert rows[name]["macs_share"] == pytest.approx(expected / total)
        assert f"{expected / total:.1%}" in str(plan)


def test_a_missed_sparsity_is_printed_and_warned_of():
    model = keras.Sequential([
        keras.Input((8, 8, 4)), layers.Conv2D(8, 1), layers.Conv2D(8, 1), layers.Conv2D(8, 1),
        layers.Activation("relu"), layers.Conv2D(8, 3),
    ])  # fmt: skip
    plan = keras_ssc.conversion_plan(model, 0.62, keep=())
    near = keras_ssc.conversion_plan(residual(), 0.8)
    assert not near.missed
    assert "not reached" not in str(near)
    missed = [value for value in np.linspace(0.55, 0.9, 30) if _plan(model, value).missed]
    assert missed
    with pytest.warns(UserWarning, match="asked .*: their widths allow no nearer one"):
        keras_ssc.sparsify(model, float(missed[0]), keep=())
    assert "not reached" in str(_plan(model, missed[0]))
    assert plan.missed == (abs(plan.layer_sparsity - 0.62) > 0.038)


def _plan(model, sparsity):
    return keras_ssc.conversion_plan(model, float(sparsity), keep=())


def test_too_narrow_layers_are_named_and_the_others_make_up_for_them():
    model = keras.Sequential([
        keras.Input((8, 8, 4)),
        layers.Conv2D(4, 1, name="first"),
        layers.Conv2D(4, 1, name="narrow"),
        layers.Conv2D(64, 1, name="squeezed"),
        layers.Conv2D(64, 3, name="wide"),
    ])  # fmt: skip
    plan = keras_ssc.conversion_plan(model, 0.9)
    assert plan.too_narrow == ["narrow", "squeezed"]
    assert plan.layer_sparsity == pytest.approx(0.9, abs=0.01)
    rows = {row["name"]: row for row in plan.rows}
    assert (rows["narrow"]["g"], rows["narrow"]["p"]) == (0, 4)
    assert rows["wide"]["sparsity"] > 0.9
    assert rows["first"]["g"] is None


def test_the_classifier_is_a_last_dense_or_point_wise_layer():
    def network(*tail):
        return keras.Sequential([
            keras.Input((8, 8, 3)), layers.Conv2D(16, 3, name="first"),
            layers.Conv2D(16, 3, name="middle"), *tail,
        ])  # fmt: skip

    pooled = network(layers.Conv2D(16, 1, name="last"), layers.GlobalAveragePooling2D())
    assert keras_ssc.conversion_plan(pooled, 0.8).left_alone["last"] == "classifier"
    normed = network(layers.Conv2D(16, 1, name="last"), layers.BatchNormalization())
    assert keras_ssc.conversion_plan(normed, 0.8).converted == ["middle", "last"]
    wide = network(layers.Conv2D(16, 3, name="last"))
    assert keras_ssc.conversion_plan(wide, 0.8).converted == ["middle", "last"]


def test_patterns_for_a_gpu():
    """A quarter off is near enough there: nothing is missed, and nobody is warned."""
    model = keras.Sequential([
        keras.Input((8, 8, 3)),
        *[layers.Conv2D(64, 3, name=f"conv{i}") for i in range(3)],
    ])  # fmt: skip
    plan = keras_ssc.conversion_plan(model, 0.9, pattern_for="gpu")
    assert [(row["g"], row["p"]) for row in plan.rows[1:]] == [(8, 7), (8, 7)]
    assert plan.layer_sparsity == pytest.approx(0.9236, abs=1e-4)
    assert not plan.missed
    sparse = keras_ssc.sparsify(model, 0.9, pattern_for="gpu")
    assert [(one.pattern.g, one.pattern.p) for one in sparse.layers[1:]] == [(8, 7), (8, 7)]


def test_nothing_is_changed_by_looking():
    model = residual()
    names = [layer.name for layer in model.layers]
    keras_ssc.conversion_plan(model)
    assert [layer.name for layer in model.layers] == names
    assert not any(isinstance(layer, keras_ssc.SSCConv2D) for layer in model.layers)
