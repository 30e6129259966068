"""Experiments: every method of the tables trains, at its budget."""

import dataclasses
import json
import signal

import keras
import numpy as np
import pytest
from tiny_networks import Tiny

from keras_ssc import applications, datasets, pruning
from keras_ssc.training.sigterm import Terminated
from paper import METHODS, Setting, masking, run, train_then_prune
from paper.data import every_second_class, experiment_data, source_setting
from paper.fit import fit
from paper.inputs import sampled
from paper.networks import build
from paper.shares import RULES

SMALL = {"epochs": 2, "batch_size": 64, "image_size": 16, "train_images": 128, "held_out": 64}
DYNAMIC = ("SET", "RigL", "DSR", "Deep-R", "GMP")
DYNAMIC += tuple(f"{name}, published" for name in DYNAMIC[:4])
FILTERS = ("L1 filters", "Slimming", "AutoSlim")


@pytest.fixture
def tiny(monkeypatch):
    """The name of a small network among the builders, and few rounds of SynFlow."""
    monkeypatch.setattr(applications, "Tiny", Tiny, raising=False)
    monkeypatch.setattr(masking, "SYNFLOW_ROUNDS", 2)
    monkeypatch.setattr(train_then_prune, "SHARE", 0.9)
    return "Tiny"


# A method that shares its code with one of the others, or that has tests of its own in the package,
# runs in the campaign.
SIBLINGS = {"SET", "RigL", "DSR", "Deep-R", "IP-GraSP", "IP-SynFlow", "lottery ticket (epoch 5)"}
SIBLINGS |= {"SET, published", "DSR, published", "Deep-R, published", "GMP", "Slimming", "AutoSlim"}
SIBLINGS |= {"random uniform", "smart ratio", "magnitude", "GraSP", "IP-SNIP", "MLPrune"}
SIBLINGS |= {"SynFlow, dense shortcuts", "OBD"}
SHORT_AND_LONG = [
    pytest.param(method, marks=pytest.mark.campaign) if method in SIBLINGS else method
    for method in METHODS
]


@pytest.mark.parametrize("method", SHORT_AND_LONG)
def test_every_method_runs_at_its_live_count(method, tiny):
    sparsity = 0 if method == "dense" else 0.8
    keep = None if method == "dense" or method.startswith("ssc") else 6700
    setting = Setting(tiny, "digits", method, sparsity=sparsity, keep=keep, **SMALL)
    lines = []
    record = run(setting, progress=lines.append)
    first = 2 if method == "lottery ticket (epoch 5)" else 1
    assert [epoch["epoch"] for epoch in record["metrics"]] == list(range(first, 3))
    assert len(lines) == 3 - first
    if method in FILTERS:
        assert 0.9 * keep < record["live_weights"] <= keep
        assert record["dense_weights"] == record["live_weights"]  # really smaller
    elif keep:
        assert record["live_weights"] == keep
    expected = 1 - record["live_weights"] / record["dense_weights"]
    assert record["network_sparsity"] == pytest.approx(expected)
    if method not in FILTERS and method not in RULES:
        assert abs(record["network_sparsity"] - sparsity) < 0.01
    json.dumps(record)
    assert bool(record["rewirings"]) == (method in DYNAMIC)


@pytest.mark.parametrize("method", [pytest.param("DSR", marks=pytest.mark.campaign), "RigL", "ssc"])
def test_a_run_resumes_where_it_was_cut_off(method, tiny, tmp_path, monkeypatch):
    setting = Setting(
        tiny, "digits", method, sparsity=0.8, **(SMALL | {"epochs": 1, "batch_size": 32})
    )
    monkeypatch.setattr(masking, "UPDATES", 2)
    whole = run(setting, progress=lambda line: None)
    lines = []

    def cut(self, batch, logs=None):
        if batch == 1 and not lines:
            lines.append("cut")
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(keras.callbacks.TerminateOnNaN, "on_train_batch_end", cut)
    with pytest.raises(Terminated, match="143"):
        run(setting, progress=lines.append, folder=tmp_path)
    again = run(setting, progress=lines.append, folder=tmp_path)
    assert "Resuming after step 2 of epoch 1" in lines[1]
    for record in (whole, again):
        for name in ("seconds", "seconds_before_training"):
            record.pop(name)
        for epoch in record["metrics"]:
            epoch.pop("seconds")
    assert again == whole
    assert bool(whole["rewirings"]) == (method in DYNAMIC)


def test_a_training_continues_the_recipe(tiny):
    setting = Setting(tiny, "digits", "dense", **(SMALL | {"epochs": 4}))
    data = experiment_data(setting)
    model = build(setting, data.classes, sparsity=0)
    rates = []
    note = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: rates.append(float(model.optimizer.learning_rate))
    )
    fit(model, setting, data, [note], first=1, last=3)
    assert rates == pytest.approx([0.1, 0.01])
    assert int(model.optimizer.iterations) == 3 * 2


def test_a_late_ticket_has_the_weights_of_its_epoch(tiny):
    setting = Setting(tiny, "digits", "lottery ticket (epoch 5)", keep=6700, sparsity=0.8, **SMALL)
    data = experiment_data(setting)
    keras.utils.set_random_seed(0)
    start = METHODS[setting.method](setting, data)
    keras.utils.set_random_seed(0)
    model = build(setting, data.classes, sparsity=0)
    fit(model, setting, data, last=1)
    assert start.epoch == 1
    masks = pruning.read_masks(start.model)
    for name, layer in pruning.prunable_layers(model).items():
        own = keras.ops.convert_to_numpy(start.model.get_layer(name).kernel)
        expected = keras.ops.convert_to_numpy(layer.kernel) * masks[name]
        np.testing.assert_allclose(own * masks[name], expected, atol=1e-5)


def test_trainings_are_counted():
    def count(method, sparsity):
        return train_then_prune.trainings(Setting("VGG19", "cifar10", method, sparsity=sparsity))

    init = "lottery ticket (init)"  # 1 more than the levels of open_lth
    assert [count(init, sparsity) for sparsity in (0.9, 0.95, 0.98)] == [12, 15, 19]
    assert (count("OBD", 0.9), count("SNIP", 0.9)) == (2, 1)


def test_too_few_weights_for_whole_filters_are_refused(tiny):
    setting = Setting(tiny, "digits", "L1 filters", keep=20, **(SMALL | {"epochs": 1}))
    with pytest.raises(ValueError, match="less than complete filters of Tiny can leave"):
        run(setting, progress=lambda line: None)


@pytest.fixture
def two_sets(monkeypatch):
    """A "cifar100" of 32 x 32 and a "tiny_imagenet" of 64 x 64 with 200 classes: noise."""

    def load(name, data_dir):
        side, classes = {"cifar100": (32, 100), "tiny_imagenet": (64, 200)}[name]
        random = np.random.default_rng(side)
        x = random.integers(0, 256, (classes, side, side, 3), "uint8")
        y = np.arange(classes, dtype="int32")
        names = tuple(f"{name} {label}" for label in y)
        return datasets.Dataset(name, x, y, x, y, names, (0.5,) * 3, (0.25,) * 3, True)

    monkeypatch.setattr(datasets, "load", load)


def test_every_second_class_is_taken(two_sets):
    data = every_second_class(datasets.load("tiny_imagenet", None))
    whole = datasets.load("tiny_imagenet", None)
    assert data.classes == 100
    assert data.class_names[1] == "tiny_imagenet 2"
    np.testing.assert_array_equal(data.y_train, np.arange(100))
    np.testing.assert_array_equal(data.x_test, whole.x_test[::2])
    assert every_second_class(data) is data
    with pytest.raises(ValueError, match="200 or 100 classes"):
        every_second_class(dataclasses.replace(data, class_names=("a", "b")))


@pytest.mark.parametrize("method", ["SNIP", pytest.param("GraSP", marks=pytest.mark.campaign)])
def test_masks_are_scored_on_the_other_set_and_carried_over(method, tiny, two_sets, monkeypatch):
    """CIFAR-100 at the scale at which Tiny-ImageNet is seen: 16 for 32."""
    seen = {}
    score = {"SNIP": pruning.snip, "GraSP": pruning.grasp}[method]

    def spy(model, x, y, **budget):
        seen.update(x=x, input=model.input_shape, masks=score(model, x, y, **budget))
        return seen["masks"]

    monkeypatch.setitem(METHODS, method, masking.masked(masking.scored(spy)))
    setting = Setting(
        tiny, "tiny_imagenet_100", method, keep=4000, image_size=32, batch_size=50, epochs=1,
        mask_dataset="cifar100",
    )  # fmt: skip
    start = METHODS[method](*_pair(setting), _pair(source_setting(setting)))
    expected, _ = sampled(*_pair(source_setting(setting)), 10)
    np.testing.assert_array_equal(seen["x"], expected)
    assert seen["input"] == (None, 16, 16, 3)
    assert start.model.input_shape == (None, 32, 32, 3)
    carried = pruning.read_masks(start.model)
    assert all((carried[name] == mask).all() for name, mask in seen["masks"].items())
    assert run(setting, progress=lambda line: None)["live_weights"] == 4000
    np.testing.assert_array_equal(seen["x"], expected)


def _pair(setting):
    return setting, experiment_data(setting)


def test_masks_that_no_images_score_are_not_carried(tiny):
    with pytest.raises(ValueError, match="`mask_dataset` is for the methods"):
        run(Setting(tiny, "digits", "random ERK", keep=4000, mask_dataset="cifar10"))
