"""Experiments: settings and their names, data, every method, records."""

import dataclasses
import os

import numpy as np
import pytest
from made_records import record_of

import keras_ssc
from keras_ssc import pruning
from keras_ssc.training.lock import locked
from paper import (
    EXPERIMENTS,
    METHODS,
    Records,
    Setting,
    estimate,
    run,
    runner,
    tables,
)
from paper.cells import reached
from paper.data import averaged, balanced, experiment_data
from paper.networks import build, ssc_options


def test_a_key_belongs_to_one_setting():
    setting = Setting("ResNet20", "digits", "dense")
    keys = {setting.key}
    changed = {int: 7, float: 0.5, str: "x", type(None): 3}
    for field in dataclasses.fields(setting):
        value = changed[type(getattr(setting, field.name))]
        keys.add(dataclasses.replace(setting, **{field.name: value}).key)
    assert len(keys) == 1 + len(dataclasses.fields(setting))


def test_images_are_averaged_over_squares():
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 2)).astype("uint8")
    small = averaged(images, 4)
    for place in np.ndindex(small.shape):
        i, row, column, channel = place
        square = images[i, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2, channel]
        assert small[place] == np.rint(square.mean())
    assert averaged(images, 8) is images
    with pytest.raises(ValueError, match="must divide 8"):
        averaged(images, 3)


@pytest.mark.parametrize("protocol", ["small", "paper"])
def test_tuned_cells_differ_from_table_1_in_what_is_tuned_alone(protocol):
    def by_subject(cells):
        return {(c.network, c.dataset, c.row, c.column): c for c in cells}

    plain = by_subject(tables.table1(protocol))
    tuned = by_subject(EXPERIMENTS["table1-tuned"](protocol))
    assert tuned.keys() <= plain.keys()
    assert (tuned.keys() == plain.keys()) == (protocol == "small")
    for subject, cell in tuned.items():
        changes = tables.TUNED[cell.network] if protocol == "small" else {}
        if cell.row == "SSC":  # as much sparser than it was asked for as its budget needs
            changes = changes | {"sparsity": cell.settings[0].sparsity}
            assert 0 <= changes["sparsity"] - float(cell.column) < 0.01
        expected = [dataclasses.replace(one, **changes) for one in plain[subject].settings]
        # A VGG has the same kernels with three maxima, so the budget is the same.
        assert list(cell.settings) == expected


def test_vgg_has_no_map_of_one_pixel_where_it_is_tuned():
    setting = Setting("VGG11(pools=3)", "cifar10", "dense", image_size=16)
    assert build(setting, 10, sparsity=0).get_layer("avg_pool").input.shape[1:] == (2, 2, 512)


def test_a_share_is_taken_class_by_class():
    labels = np.random.default_rng(0).integers(0, 5, 200)
    chosen = balanced(labels, 0.4)
    for label in range(5):
        expected = [i for i in range(200) if labels[i] == label]
        expected = expected[: round(0.4 * len(expected))]
        assert [i for i in chosen if labels[i] == label] == expected


def test_held_out_images_are_the_last_training_images():
    whole = experiment_data(Setting("ResNet20", "digits", "dense"))
    data = experiment_data(Setting("ResNet20", "digits", "dense", held_out=100, train_images=50))
    np.testing.assert_array_equal(data.x_test, whole.x_train[-100:])
    np.testing.assert_array_equal(data.x_train, whole.x_train[:50])
    with pytest.raises(ValueError, match="held_out"):
        experiment_data(Setting("ResNet20", "digits", "dense", held_out=9999))


def test_an_unknown_method_is_refused():
    with pytest.raises(ValueError, match="`method` must be one of"):
        run(Setting("VGG11", "digits", "magic"))
    with pytest.raises(ValueError, match="`variant` must be of"):
        ssc_options(Setting("VGG11", "digits", "ssc", "magic", 0.9))


@pytest.mark.parametrize("variant", ["", "dense_scale"])
def test_the_initial_scale_is_the_variants(variant):
    setting = Setting("VGG11", "digits", "ssc", variant, 0.9, image_size=16)
    data = experiment_data(dataclasses.replace(setting, train_images=20))
    model = METHODS["ssc"](setting, data).model
    layer = next(one for one in model.layers if isinstance(one, keras_ssc.SSCConv2D))
    live = np.concatenate([np.ravel(matrix) for matrix in layer.trainable_variables])
    share = 1 if variant else layer.pattern.density
    assert live.std() == pytest.approx((2 / (9 * layer.filters * share)) ** 0.5, rel=0.05)


@pytest.mark.parametrize("protocol", ["small", "paper"])
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_lists_its_runs(name, protocol):
    cells = EXPERIMENTS[name](protocol)
    settings = [setting for cell in cells for setting in cell.settings]
    assert settings
    assert len({setting.key for setting in settings}) == len(set(settings))
    assert all(setting.method in METHODS for setting in settings)
    assert {setting.epochs for setting in settings} <= {8, 16, 20, 90, 160, 300}


def test_the_committed_records_are_those_of_their_settings(root):
    for setting, record in Records(root / "docs" / "evidence" / "records").pairs():
        assert setting.key == record["key"]
        assert record["setting"] == setting.as_dict()


def test_cells_carry_the_printed_figures():
    cells = {(c.network, c.dataset, c.row, c.column): c for c in tables.table1("paper")}
    assert cells["ResNet32", "cifar100", "SSC", "0.98"].printed == "63.01 ± 0.31"
    assert all(cells["ResNet32", "cifar100", row, "0.98"].printed for row in tables.OURS)
    assert cells["VGG19", "cifar10", "dense", "0.9"].printed == "94.23"
    assert cells["VGG19", "cifar10", "MLPrune", "0.9"].settings[0].method == "MLPrune"
    autoslim = [cell for cell in tables.table5("paper") if cell.row.startswith("AutoSlim")]
    run = [cell for cell in autoslim if not cell.past]
    assert [cell.network for cell in run] == ["MobileNetV2"] * 2 + ["ShuffleNetV2"]
    assert run[0].printed
    assert all(cell.settings[0].method == "AutoSlim" for cell in autoslim)


def test_other_methods_keep_what_the_ssc_network_reaches():
    cells = tables.table1("small", seeds=(3,))
    (ssc,) = next(cell.settings for cell in cells if cell.row == "SSC")
    (snip,) = next(cell.settings for cell in cells if cell.row == "SNIP")
    model = build(ssc, 10, **ssc_options(ssc))
    assert snip.keep == keras_ssc.summary(model).live_weights
    masks = pruning.random_erk(build(snip, 10, sparsity=0), keep=snip.keep)
    assert sum(mask.sum() for mask in masks.values()) == snip.keep


@pytest.mark.parametrize("protocol", ["small", "paper"])
@pytest.mark.parametrize("name", ["table1", "table1-tuned", "table2", "table3", "table4"])
def test_ssc_has_no_more_weights_than_the_others(name, protocol):
    cells = EXPERIMENTS[name](protocol, seeds=(3,))
    groups = {}
    for cell in cells:
        if cell.settings:
            group = groups.setdefault((cell.network, cell.dataset, cell.column), {})
            group[cell.row] = cell.settings[0]
    for group in groups.values():
        ssc, keep = group["SSC"], group["random ERK"].keep
        rest = {name: value for name, value in group.items() if name in tables.METHOD_OF}
        assert {one.keep for row, one in rest.items() if row not in ("dense", "SSC")} == {keep}
        assert reached(group["SSC, per_filter"]) == keep
        assert 0.9 * keep < reached(ssc) <= keep
        wanted = group["SSC, per_filter"].sparsity
        assert ssc.variant == ("per_filter+dense_scale" if wanted >= 0.98 else "dense_scale")
        if ssc.sparsity > wanted:  # the least sparsity that will do
            fewer = round(ssc.sparsity - 0.001, 6)
            assert reached(dataclasses.replace(ssc, sparsity=fewer)) > keep


def test_finished_runs_are_not_repeated(tmp_path, monkeypatch):
    cells = tables.table1("small", seeds=(3, 4))
    records, done = Records(tmp_path), []

    def pretend(setting, data_dir, progress, folder):
        if len(done) == 5:
            raise KeyboardInterrupt
        done.append(setting)
        return record_of(setting)

    monkeypatch.setattr(runner, "run", pretend)
    monkeypatch.setattr(estimate, "seconds_per_image", lambda setting: 1e-3)
    lines = []
    with pytest.raises(KeyboardInterrupt):
        runner.reproduce(cells, records, progress=lines.append)
    assert lines[0].startswith(f"{len(runner.open_runs(cells, Records('')))} runs take about ")
    assert len(list(tmp_path.glob("*.json"))) == 5
    first, todo = list(done), runner.open_runs(cells, records)
    done.clear()
    assert runner.reproduce(cells, records, limit=3, progress=lambda line: None) == len(todo) - 3
    assert done == todo[:3]
    assert not set(first) & set(done)


def test_a_run_that_another_process_has_begun_is_left_out(tmp_path, monkeypatch):
    cells, records, lines = tables.table1("small", seeds=(3,)), Records(tmp_path), []
    monkeypatch.setattr(runner, "run", lambda setting, *_: record_of(setting))
    todo = runner.open_runs(cells, records)
    with locked(records.unfinished(todo[1])):
        assert runner.reproduce(cells, records, limit=3, progress=lines.append) == len(todo) - 3
        assert [setting in records for setting in todo[:5]] == [True, False, True, True, False]
        assert any("left out" in line and str(os.getpid()) in line for line in lines)
    runner.reproduce(cells, records, limit=1, progress=lines.append)
    assert todo[1] in records
    # Done by another process between the look and the claim: not done again.
    monkeypatch.setattr(runner, "open_runs", lambda *_: todo[:1])
    monkeypatch.setattr(runner, "run", None)
    runner.reproduce(cells, records, progress=lines.append)
    assert not list(tmp_path.glob(".unfinished/[!.]*/*.keras"))


def test_a_broken_record_is_named(tmp_path):
    records = Records(tmp_path)
    setting = Setting("ResNet20", "digits", "dense")
    records.add(record_of(setting))
    path = records.path(setting)
    path.write_text(path.read_text()[:40])
    with pytest.raises(ValueError, match="is no record"):
        records[setting]
    records.add(record_of(setting))
    path.rename(tmp_path / "000000000000.json")
    with pytest.raises(ValueError, match="other settings"):
        records.all()
