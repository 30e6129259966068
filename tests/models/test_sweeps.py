"""Sweeps over sparsities: rows, the nearest reachable, resuming, Pareto's line, the picture."""

import json
import random

import keras
import numpy as np
import pytest

import keras_ssc
from keras_ssc.sparsity import UnreachableSparsity

X = np.random.default_rng(0).random((8, 6, 6, 32)).astype("float32")
Y = np.arange(8) % 2


def build(sparsity):
    """One 3x3 convolution of 32 channels to 32 filters and a classifier."""
    convolution = (
        keras_ssc.SSCConv2D(32, 3, sparsity=sparsity, use_bias=False)
        if sparsity
        else keras.layers.Conv2D(32, 3, use_bias=False)
    )
    return keras.Sequential([
        keras.Input((6, 6, 32)), convolution,
        keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2, "softmax"),
    ])  # fmt: skip


@pytest.fixture
def trained():
    """A training function and the list of models it has had."""
    models = []

    def train(model):
        models.append(model)
        model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
        model.fit(X, Y, verbose=0)

    train.models = models
    return train


def test_rows_are_what_the_models_weigh_and_reach(trained):
    rows = keras_ssc.sweep(build, [0.9, 0], train=trained, validation=(X, Y))
    assert [row["sparsity"] for row in rows] == [0.9, 0]
    for row, model in zip(rows, trained.models, strict=True):
        found = keras_ssc.summary(model)
        assert row["network_sparsity"] == found.network_sparsity
        assert row["macs"] == found.macs
        assert row["bytes"] == 4 * model.count_params()
        reached = model.evaluate(X, Y, verbose=0, return_dict=True)
        assert row["accuracy"] == pytest.approx(reached["accuracy"])
        assert row["loss"] == pytest.approx(reached["loss"], rel=1e-5)
    assert "0.9" in keras_ssc.sweep_table(rows)


def test_an_unreachable_sparsity_costs_no_training(trained):
    with pytest.raises(UnreachableSparsity, match="can't be reached") as error:
        keras_ssc.sweep(build, [0.9, 0.999], train=trained, validation=(X, Y))
    assert trained.models == []
    with pytest.warns(UserWarning, match=r"sparsity 0.999 can't be reached; 0\.98.., the nearest"):
        (row,) = keras_ssc.sweep(build, [0.999], train=trained, validation=(X, Y), nearest=True)
    (layer,) = [one for one in trained.models[0].layers if hasattr(one, "pattern")]
    assert layer.pattern.sparsity == pytest.approx(error.value.nearest[0])
    assert row["sparsity"] == 0.999


@pytest.mark.parametrize("network", ["ResNet20", "MobileNetV2"])
def test_what_is_named_as_nearest_can_be_reached(network):
    builder = getattr(keras_ssc.applications, network)
    with pytest.raises(UnreachableSparsity) as error:
        builder(sparsity=0.9995)
    for sparsity in error.value.nearest:
        reached = keras_ssc.summary(builder(sparsity=sparsity)).network_sparsity
        assert reached == pytest.approx(sparsity, abs=0.003)


def test_a_folder_keeps_rows_and_models_and_resumes(trained, tmp_path):
    given = {"validation": (X, Y), "folder": tmp_path / "runs"}
    (first,) = keras_ssc.sweep(build, [0.9], train=trained, **given)
    rows = keras_ssc.sweep(build, [0, 0.9], train=trained, **given)
    assert rows[1] == first
    assert len(trained.models) == 2
    again = keras_ssc.sweep(build, [0.9, 0], train=trained, **given)
    assert again == rows[::-1]
    assert len(trained.models) == 2
    saved = keras.models.load_model(tmp_path / "runs" / "sparsity-0.9.keras")
    np.testing.assert_allclose(
        saved.predict(X, verbose=0), trained.models[0].predict(X, verbose=0), rtol=1e-5
    )


def test_a_seed_makes_a_resumed_sweep_the_same(trained):
    given = {"train": trained, "validation": (X, Y)}
    both = keras_ssc.sweep(build, [0.8, 0.9], **given)
    random.random()
    (alone,) = keras_ssc.sweep(build, [0.9], **given)
    assert alone["loss"] == pytest.approx(both[1]["loss"], rel=1e-6)


@pytest.mark.parametrize("text", ["no json", "[]", '{"sparsity": 0.8, "bytes": 1}', "{}"])
def test_a_foreign_file_is_refused_by_name(text, trained, tmp_path):
    (tmp_path / "sparsity-0.9.json").write_text(text)
    with pytest.raises(ValueError, match=r"sparsity-0\.9\.json' is no row of a sweep"):
        keras_ssc.sweep(build, [0.9], train=trained, validation=(X, Y), folder=tmp_path)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"sparsities": []}, ValueError, "at least one"),
        ({"sparsities": [0.9, 0.9]}, ValueError, "each once"),
        ({"sparsities": [1.0]}, ValueError, r"in \[0, 1\)"),
        ({"sparsities": [float("nan")]}, ValueError, r"in \[0, 1\)"),
        ({"sparsities": "0.9"}, TypeError, "`sparsities` must be a list"),
        ({"sparsities": 0.9}, TypeError, "`sparsities` must be a list"),
        ({"sparsities": [None]}, TypeError, "Received: None in it"),
        ({"build": "ResNet20"}, TypeError, "`build` must be a function"),
        ({"train": None}, TypeError, "`train` must be a function"),
        ({"nearest": 1}, TypeError, "`nearest` must be True or False"),
        ({"seed": -1}, ValueError, "`seed` must be at least 0"),
    ],
)
def test_wrong_arguments_are_refused(arguments, error, words):
    given = {"build": build, "sparsities": [0.9], "train": print, "validation": (X, Y)}
    with pytest.raises(error, match=words):
        keras_ssc.sweep(**(given | arguments))


def test_pareto_against_every_pair():
    source = random.Random(0)
    rows = [{"bytes": source.randrange(9), "accuracy": source.randrange(9)} for _ in range(40)]

    def beats(one, other):
        better = one["bytes"] <= other["bytes"] and one["accuracy"] >= other["accuracy"]
        return better and one != other

    expected = [row for row in rows if not any(beats(other, row) for other in rows)]
    unique = {tuple(row.values()) for row in expected}
    assert [tuple(row.values()) for row in keras_ssc.pareto(rows)] == sorted(unique)


def test_the_picture_shows_every_row_and_the_dense_one(tmp_path):
    plt = pytest.importorskip("matplotlib.pyplot")
    rows = [
        {"sparsity": sparsity, "bytes": 1000 * (1 - sparsity), "macs": macs, "accuracy": accuracy}
        for sparsity, macs, accuracy in ((0, 9, 0.9), (0.5, 5, 0.95), (0.75, 2, 0.8))
    ]
    path = tmp_path / "sweep.png"
    figure = keras_ssc.plot_sweep(rows, path)
    assert plt.imread(path).std() > 0.05
    for axes in figure.axes:
        assert [text.get_text() for text in axes.texts] == ["dense", "50 %", "75 %"]
        assert len(axes.lines[0].get_xdata()) == 2  # the dense network is beaten
    for row in rows:
        row["macs"] = None
    assert len(keras_ssc.plot_sweep(rows).axes) == 1
    with pytest.raises(ValueError, match="`metric` must be one of"):
        keras_ssc.plot_sweep(rows, metric="top5")
    with pytest.raises(ValueError, match="`rows` must hold a row"):
        keras_ssc.plot_sweep([])


def test_a_row_is_plain_json(trained, tmp_path):
    (row,) = keras_ssc.sweep(build, [0.8], train=trained, validation=(X, Y), folder=tmp_path)
    assert json.loads((tmp_path / "sparsity-0.8.json").read_text()) == row
