"""Experiments: how long they will take, and dry runs."""

import dataclasses

import pytest
from tiny_networks import Tiny

import keras_ssc
from keras_ssc import applications
from keras_ssc.training.environment import environment
from paper import EXPERIMENTS, Records, Setting, cells, dry, open_runs, runner
from paper.estimate import estimate, in_words, seconds_per_image


def add(records, setting, seconds, **changes):
    """A record with what an estimate reads."""
    own = environment() | changes
    whole = {"setting": setting.as_dict(), "environment": own, "seconds": seconds}
    records.add({"key": setting.key, "metrics": [], **whole})


def test_an_estimate_rests_on_what_is_nearest(tmp_path):
    records = Records(tmp_path)
    known = Setting("ResNet20", "cifar10", "SNIP", epochs=8, train_images=1000)
    add(records, known, 80.0)  # 10 ms for an image
    add(records, dataclasses.replace(known, method="GraSP"), 240.0)  # 30 ms
    foreign = ({"hardware": {"cpu": "another"}}, {"accelerators": ["another"]})
    for seed, about in enumerate(foreign, 8):
        add(records, dataclasses.replace(known, method="SNIP", seed=seed), 8000.0, **about)
    same = dataclasses.replace(known, epochs=160, train_images=None, seed=1)
    other = dataclasses.replace(known, method="dense", train_share=0.5)
    twice = dataclasses.replace(other, method="OBD", train_share=1.0)
    larger = dataclasses.replace(known, image_size=64)
    asked = []
    seconds, basis = estimate(
        [same, other, twice, larger], records, lambda setting: asked.append(setting) or 0.5
    )
    assert asked == [larger]
    assert seconds == pytest.approx(0.01 * 160 * 50_000 + 0.02 * 8 * (500 + 2000) + 0.5 * 8000)
    assert basis == (
        "1 by recorded runs of network and method, 2 by recorded runs of the network, "
        "1 by training steps timed just now (ResNet20; without start and tests)"
    )


def test_steps_are_timed_where_nothing_is_recorded(monkeypatch):
    monkeypatch.setattr(applications, "Tiny", Tiny, raising=False)
    seconds = seconds_per_image(Setting("Tiny", "digits", "dense", image_size=16))
    assert 0 < seconds < 1
    assert in_words(seconds * 60_000 * 1e6).endswith(" days")


@pytest.mark.parametrize("protocol", ["small", "paper"])
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_dry_run_has_every_row_once(name, protocol, tmp_path, monkeypatch):
    """Each as a run of its own name, with an estimate printed first."""
    whole = EXPERIMENTS[name](protocol)
    few = dry(whole)
    rows = {
        (cell.network, cell.dataset, cell.row) for cell in whole if cell.settings and not cell.past
    }
    assert [(cell.network, cell.dataset, cell.row) for cell in few] == sorted(
        rows, key=[(cell.network, cell.dataset, cell.row) for cell in few].index
    )
    done, lines = [], []

    def pretend(setting, data_dir, progress, folder):
        assert "runs take about" in lines[0]
        done.append(setting)
        return {
            "key": setting.key, "setting": setting.as_dict(), "seconds": 1.0,
            "metrics": [{"val_accuracy": 0.5}], "environment": environment(),
        }  # fmt: skip

    monkeypatch.setattr(runner, "run", pretend)
    monkeypatch.setattr("paper.estimate.seconds_per_image", lambda setting: 1e-3)
    records = Records(tmp_path)
    assert runner.reproduce(few, records, progress=lines.append) == 0
    assert {setting.epochs for setting in done} == {2}
    assert max(setting.train_images for setting in done) <= 512
    assert not set(done) & {setting for cell in whole for setting in cell.settings}
    assert open_runs(few, records) == []


@pytest.mark.parametrize("network", ["MobileNetV2", "ShuffleNetV2"])
def test_methods_compared_with_compact_networks_keep_what_these_reach(network):
    setting = cells.base("paper", network, "cifar10", method="ssc")
    model = getattr(applications, network)()
    assert cells.reached(setting) == keras_ssc.summary(model).live_weights
