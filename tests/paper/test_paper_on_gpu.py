"""The script for a GPU machine: ended by its time limit, carried on, the same as in one go."""

import importlib.util
import os
import shutil
import tarfile
import time

import keras
import numpy as np
import pytest
from conftest import ROOT

import keras_ssc
from keras_ssc import datasets
from keras_ssc.datasets.packed import pack
from keras_ssc.training.loop import Checkpoints
from keras_ssc.training.sigterm import Terminated, Termination
from paper import Cell, Records, Setting, runner

pytestmark = pytest.mark.jax
TINY = {"epochs": 2, "batch_size": 8, "image_size": 8, "train_images": 32, "held_out": 16}
SETTING = Setting("ResNet20", "cifar10", "ssc", sparsity=0.5, **TINY)


def two_layers(input_shape, classes, **options):
    """A network in place of a builder's, quick to compile, whatever the options are."""
    return keras.Sequential(
        [
            keras.Input(input_shape),
            keras.layers.Conv2D(8, 3, activation="relu", name="one"),
            keras_ssc.SSCConv2D(16, 3, sparsity=0.5, name="two"),
            keras.layers.BatchNormalization(),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(classes, activation="softmax"),
        ]
    )


@pytest.fixture
def script(monkeypatch):
    """The script as a module, whose dry run is one run of a network of two layers."""
    spec = importlib.util.spec_from_file_location("gpu", ROOT / "paper" / "on_gpu.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(keras_ssc.applications, "ResNet20", two_layers)
    monkeypatch.setattr(runner, "estimate", lambda *_: (0, "a guess"))
    monkeypatch.setattr(module, "dry", lambda cells: [Cell("", "", "", "", (SETTING,))])
    return module


class Clock:
    """A timer whose time is over after `left` steps of training; 0: never."""

    left = 0

    def __call__(self, seconds, function, arguments):
        self.seconds, self.fire = seconds, lambda: function(*arguments)
        return self

    def start(self):
        """Count from here."""

    def cancel(self):
        """Not needed any more."""
        self.left = 0

    def watch(self, monkeypatch):
        """Count the steps of all trainings."""
        after = Checkpoints.on_train_batch_end

        def counted(callback, batch, logs=None):
            self.left -= 1
            if self.left == 0:
                self.fire()
            after(callback, batch, logs)

        monkeypatch.setattr(Checkpoints, "on_train_batch_end", counted)


def call(script, monkeypatch, *arguments):
    """Call the script within this process."""
    monkeypatch.setattr(script.sys, "argv", ["on_gpu.py", *map(str, arguments)])
    script.main()


def packed_images(folder):
    """A packed set of 64 random images."""
    random = np.random.default_rng(0)
    x, y = random.integers(0, 256, (64, 32, 32, 3), "uint8"), np.arange(64, dtype="int32") % 10
    fields = {"class_names": tuple("abcdefghij"), "mean": (0.5,) * 3, "std": (0.3,) * 3}
    pack(datasets.Dataset("cifar10", x, y, x, y, flip=True, **fields), [folder])
    return folder


def outcome(record):
    """What of a record does not depend on the clock."""
    metrics = [{k: v for k, v in epoch.items() if k != "seconds"} for epoch in record["metrics"]]
    return metrics, record["correlation"], record["live_weights"]


def test_the_time_limit_and_the_next_call(script, tmp_path, monkeypatch):
    run = ["run", "--dry-run", "--data-dir", packed_images(tmp_path / "images"), "--minutes", "7"]
    whole, first, second = (tmp_path / name / "records.tar.gz" for name in ("a", "b", "c"))
    clock = Clock()
    clock.watch(monkeypatch)
    monkeypatch.setattr(script, "Timer", clock)
    call(script, monkeypatch, *run, "--records", tmp_path / "whole", "--out", whole)

    clock.left = 6  # of four steps an epoch
    with pytest.raises(Terminated) as end:
        call(script, monkeypatch, *run, "--records", tmp_path / "part", "--out", first)
    assert (end.value.code, end.value.where) == (143, "after step 2 of epoch 2")
    assert clock.seconds == 420
    with tarfile.open(first) as tar:
        assert tar.getnames() == [f".unfinished/{SETTING.key}/last.keras"]

    # Another machine: nothing is there but what was carried.
    shutil.rmtree(tmp_path / "part-dry")
    on = ["--records", tmp_path / "part", "--carried", first, "--out", second]
    call(script, monkeypatch, *run, *on)
    with tarfile.open(second) as tar:
        assert tar.getnames() == [f"{SETTING.key}.json"]
    records = [Records(tmp_path / f"{name}-dry")[SETTING] for name in ("whole", "part")]
    assert outcome(records[0]) == outcome(records[1])
    assert [epoch["epoch"] for epoch in records[1]["metrics"]] == [1, 2]

    # What was carried twice, or late, puts nothing back.
    call(script, monkeypatch, *run, *on)
    with tarfile.open(second) as tar:
        assert tar.getnames() == [f"{SETTING.key}.json"]


def test_the_timer_is_a_signal(script):
    limit = script.Timer(0.01, os.kill, (os.getpid(), script.signal.SIGTERM))
    with Termination():
        limit.start()
        with pytest.raises(Terminated):
            time.sleep(60)


@pytest.mark.parametrize("damage", [lambda data: data[:-20], lambda data: b"", lambda data: b"x"])
def test_a_damaged_archive_is_named(script, tmp_path, monkeypatch, damage):
    (tmp_path / "some").mkdir()
    (tmp_path / "some" / "0123456789ab.json").write_text("{}" + "\n" * 9999)
    script.keep(tmp_path / "some", tmp_path / "records.tar.gz")
    file = tmp_path / "records.tar.gz"
    file.write_bytes(damage(file.read_bytes()))
    run = ["run", "--data-dir", tmp_path, "--carried", file, "--out", tmp_path / "out.gz"]
    with pytest.raises(SystemExit, match=r"on_gpu: `carried` .*records.tar.gz'"):
        call(script, monkeypatch, *run, "--records", tmp_path / "here")


def test_ssc_comes_first_and_one_seed_after_the_other(script):
    cells = script.wanted(script.ROWS, script.COLUMNS, [3, 4])
    settings = [setting for cell in cells for setting in cell.settings]
    assert [(s.method, s.sparsity) for s in settings[:3]] == [
        ("ssc", 0.98),
        ("ssc", 0.9),
        ("GraSP, its code", 0.98),
    ]
    assert {(s.network, s.dataset, s.epochs, s.image_size) for s in settings} == {
        ("ResNet32", "cifar10", 160, 32)
    }
    assert [s.seed for s in settings] == [3] * 10 + [4] * 10
