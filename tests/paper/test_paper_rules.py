"""What makes a comparison fair: published schedules, equal norms, epochs chosen on validation."""

import dataclasses

import keras
import numpy as np
import pytest
from tiny_networks import Tiny

from keras_ssc import applications, pruning
from paper import METHODS, Records, Setting, masking, open_runs, run, tables
from paper.best_epoch import BestEpoch
from paper.data import experiment_data, validation_data
from paper.networks import build, filter_norms, ssc_options

SMALL = {"epochs": 2, "batch_size": 64, "image_size": 16, "train_images": 128}


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    """A small network among the builders, few images, and few rounds of SynFlow."""
    monkeypatch.setattr(applications, "Tiny", Tiny, raising=False)
    monkeypatch.setattr(masking, "SYNFLOW_ROUNDS", 2)
    monkeypatch.setattr("paper.data.VALIDATION", 40)


def test_grasp_is_given_what_its_code_gives_it(monkeypatch):
    seen = {}

    def spy(model, x, y, **options):
        seen.update(options, x=x, y=y)
        return pruning.random_erk(model, keep=options["keep"])

    monkeypatch.setattr(masking.pruning, "grasp", spy)
    setting = Setting("Tiny", "digits", "GraSP, its code", keep=6700, seed=5, **SMALL)
    METHODS[setting.method](setting, experiment_data(setting))
    assert seen["redraw_dense"]
    assert seen["seed"] == 5
    assert np.all(np.diff(seen["y"]) >= 0)
    assert seen["batch_size"] == -(-len(seen["y"]) // 2)  # the first classes, then the others
    assert np.unique(seen["y"]).tolist() == list(range(10))


@pytest.mark.parametrize(
    ("method", "long", "short"),
    [("SET", 79, 2), ("RigL", 100, 1), ("DSR", 100, 1), ("Deep-R", 1, 1)],
)
def test_masks_change_on_the_schedule_of_their_authors(method, long, short, monkeypatch):
    """In 8 epochs of 79 steps as published; in 2 of 2 steps there is no room for 100."""
    monkeypatch.setattr(masking, "drawn", lambda draw: lambda *_: None)
    monkeypatch.setattr(masking, "masked", lambda masks: lambda *_: (None,))
    kind = {"SET": pruning.SET, "RigL": pruning.RigL, "DSR": pruning.DSR, "Deep-R": pruning.DeepR}
    make = masking.rewired(kind[method], published=True)
    small = Setting("Tiny", "digits", f"{method}, published", keep=6700, seed=3, **SMALL)
    data = experiment_data(small)
    (callback,) = make(small, data).callbacks
    assert callback.update_every == short
    assert callback.stop == {"SET": 1.0, "RigL": 0.75}.get(method, 0.95)
    monkeypatch.setattr(masking, "steps_per_epoch", lambda *_: 79)
    (callback,) = make(dataclasses.replace(small, epochs=8), data).callbacks
    assert callback.update_every == long


def test_masks_of_equal_norm_start_where_ssc_starts():
    fields = {"sparsity": 0.8, "keep": 6700} | SMALL
    setting = Setting("Tiny", "digits", "random uniform", variant="equal_norm", **fields)
    data = experiment_data(setting)
    ssc = dataclasses.replace(setting, method="ssc", variant="per_filter+dense_scale")
    keras.utils.set_random_seed(1)
    model = METHODS[setting.method](setting, data).model
    plain = dataclasses.replace(setting, variant="")
    keras.utils.set_random_seed(1)
    other = METHODS[setting.method](plain, data).model
    own, before = filter_norms(model), filter_norms(other)
    # Of another draw of the weights: the norms agree as far as draws do.
    wanted = filter_norms(build(ssc, data.classes, **ssc_options(ssc)))
    for name in ("stem", "first", "second", "third"):
        assert own[name] == pytest.approx(wanted[name], rel=0.2), name
    assert before["stem"] < 0.5 * own["stem"]  # which SSC leaves dense
    for layer in ("first", "third"):  # scaled, and nothing else
        one, two = (np.array(m.get_layer(layer).live_kernel()) for m in (model, other))
        assert np.ptp(one[two != 0] / two[two != 0]) < 1e-4
        assert np.array_equal(one == 0, two == 0)


def test_norms_are_the_mean_of_the_filters_squares():
    setting = Setting("Tiny", "digits", "dense", **SMALL)
    model = build(setting, 10, sparsity=0.8)
    kernel = np.array(model.get_layer("second").kernel, "float64")
    slow = np.mean([(kernel[..., n] ** 2).sum() for n in range(kernel.shape[-1])])
    assert filter_norms(model)["second"] == pytest.approx(slow)


def test_shortcuts_stay_dense_where_the_row_says_so():
    setting = Setting("Tiny", "digits", "SynFlow, dense shortcuts", keep=6700, **SMALL)
    model = METHODS[setting.method](setting, experiment_data(setting)).model
    masks = pruning.read_masks(model)
    assert "shortcut" not in masks
    assert "first" in masks
    assert pruning.live_weights(model) == 6700


def test_validation_images_are_none_of_the_others():
    setting = Setting("Tiny", "digits", "dense", **SMALL)
    data, (x, y) = experiment_data(setting), validation_data(setting)
    everything = experiment_data(dataclasses.replace(setting, train_images=None))
    np.testing.assert_array_equal(x, everything.x_train[-40:])
    np.testing.assert_array_equal(y, everything.y_train[-40:])
    assert len(data.x_train) + 40 <= len(everything.x_train)
    assert validation_data(dataclasses.replace(setting, train_images=None)) is None
    assert validation_data(dataclasses.replace(setting, held_out=50)) is None


def test_more_training_images_than_there_are():
    setting = Setting("Tiny", "digits", "dense", **SMALL)
    there = len(experiment_data(dataclasses.replace(setting, train_images=None)).x_train)
    all_of_them = dataclasses.replace(setting, train_images=there)
    assert len(experiment_data(all_of_them).x_train) == there
    assert validation_data(all_of_them) is None
    with pytest.raises(ValueError, match=f"must fit into {there} training images"):
        experiment_data(dataclasses.replace(setting, train_images=there + 1))
    with pytest.raises(ValueError, match=f"must fit into {there} training images"):
        experiment_data(dataclasses.replace(setting, train_images=there, held_out=1))


def test_the_test_images_are_read_at_the_end_alone(monkeypatch):
    setting = Setting("Tiny", "digits", "dense", **SMALL)
    restored, restore = [], BestEpoch.restore

    def spy(best, model):
        restored.append(best.epoch)
        restore(best, model)

    monkeypatch.setattr(BestEpoch, "restore", spy)
    record = run(setting, progress=lambda line: None)
    accuracies = [epoch["val_accuracy"] for epoch in record["metrics"]]
    tested = record["test"]
    assert tested["best_epoch"] == 1 + int(np.argmax(accuracies)) == restored[0]
    assert all(round(40 * value, 3).is_integer() for value in accuracies)  # of 40 images
    assert set(tested) == {"last", "best", "best_epoch"}
    if tested["best_epoch"] == 2:
        assert tested["best"] == tested["last"]
    assert record["filter_norm"] > 0


def test_a_run_on_all_images_is_measured_once():
    fields = SMALL | {"epochs": 1, "train_images": None, "batch_size": 512}
    record = run(Setting("Tiny", "digits", "dense", **fields), progress=lambda line: None)
    assert set(record["test"]) == {"last"}
    assert "val_accuracy" not in record["metrics"][0]


def test_the_best_epoch_survives_an_interruption(tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, name="one")])
    best = BestEpoch(tmp_path)
    best.set_model(model)
    for epoch, accuracy in enumerate((0.2, 0.5, 0.5, 0.3)):
        model.get_layer("one").kernel.assign([[epoch], [epoch]])
        best.on_epoch_end(epoch, {"val_accuracy": accuracy})
    resumed = BestEpoch(tmp_path)
    resumed.set_state(best.get_state())
    assert (resumed.epoch, resumed.accuracy) == (2, 0.5)  # of equal ones the first
    resumed.restore(model)
    assert np.array(model.get_layer("one").kernel).ravel().tolist() == [1, 1]


def test_rows_of_the_past_are_shown_and_not_run():
    cells = tables.table1("small", seeds=(3,))
    past = [cell for cell in cells if cell.past]
    assert {cell.row for cell in past} == set(tables.PAST)
    assert {cell.settings[0].method for cell in past} == {"GraSP", "SET", "RigL"}
    todo = open_runs(cells, Records("none"))
    assert not {cell.settings[0] for cell in past} & set(todo)
    methods = {setting.method for setting in todo}
    assert {"GraSP, its code", "SET, published", "smart ratio"} < methods
