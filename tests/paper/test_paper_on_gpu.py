"""The script for a GPU machine: ended by its time limit, carried on, the same as in one go."""

import os
import shutil
import tarfile
import time
from contextlib import nullcontext

import h5py
import keras
import numpy as np
import pytest
from tiny_networks import Two

import keras_ssc
from keras_ssc import datasets
from keras_ssc.datasets.packed import pack
from keras_ssc.training.run_folder import RunFolderError
from keras_ssc.training.sigterm import Terminated, Termination
from paper import Cell, Records, Setting, on_gpu
from paper.gpu_checkpoint import CHECKPOINT, epochs_done, load

if keras.backend.backend() != "jax":
    pytest.skip("the loop is JAX's", allow_module_level=True)

from paper.gpu_loop import Training

pytestmark = pytest.mark.jax_long
TINY = {"epochs": 3, "batch_size": 8, "image_size": 8, "train_images": 32, "held_out": 16}
SETTING = Setting("Two", "cifar10", "ssc", g=4, p=3, **TINY)


@pytest.fixture
def script(monkeypatch):
    """The script as a module, whose dry run is one run of a network of two layers."""
    monkeypatch.setattr(keras_ssc.applications, "Two", Two, raising=False)
    monkeypatch.setattr(on_gpu, "dry", lambda cells: [Cell("", "", "", "", (SETTING,))])
    return on_gpu


class Clock:
    """A timer whose time is over after `left` epochs of training; 0: never."""

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
        """Count the epochs of all trainings."""
        epoch = Training.epoch

        def counted(training, number):
            self.left -= 1
            if self.left == 0:
                self.fire()
            return epoch(training, number)

        monkeypatch.setattr(Training, "epoch", counted)


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
    archives = (tmp_path / name / "records.tar.gz" for name in "abcd")
    whole, first, trained, second = archives
    clock = Clock()
    clock.watch(monkeypatch)
    monkeypatch.setattr(script, "Timer", clock)
    call(script, monkeypatch, *run, "--records", tmp_path / "whole", "--out", whole)

    clock.left = 2
    with pytest.raises(Terminated) as end:
        call(script, monkeypatch, *run, "--records", tmp_path / "part", "--out", first)
    assert (end.value.code, end.value.where) == (143, "after epoch 2")
    assert clock.seconds == 420
    open_run = [f".unfinished/{SETTING.key}/gpu.npz"]
    part = ["--records", tmp_path / "part"]
    call(script, monkeypatch, *run, *part, "--out", first, "--only", "test")
    with tarfile.open(first) as tar:
        assert tar.getnames() == open_run

    # Another machine: nothing is there but what was carried. It only trains, twice to no end.
    on = [*part, "--carried"]
    shutil.rmtree(tmp_path / "part-dry")
    for _ in range(2):
        call(script, monkeypatch, *run, *on, first, "--out", trained, "--only", "train")
    with tarfile.open(trained) as tar:
        assert tar.getnames() == open_run
    assert epochs_done(tmp_path / "part-dry" / ".unfinished" / SETTING.key, SETTING) == 3

    # A third one tests and records.
    shutil.rmtree(tmp_path / "part-dry")
    monkeypatch.setattr(Training, "epoch", None)
    test = [*on, trained, "--out", second, "--only", "test"]
    call(script, monkeypatch, *run, *test)
    names = [f"{SETTING.key}.json", f"weights/{SETTING.key}.weights.h5"]
    with tarfile.open(second) as tar:
        assert tar.getnames() == names
    folders = [tmp_path / f"{name}-dry" for name in ("whole", "part")]
    records = [Records(folder)[SETTING] for folder in folders]
    assert outcome(records[0]) == outcome(records[1])
    assert [epoch["epoch"] for epoch in records[1]["metrics"]] == [1, 2, 3]
    assert records[0]["loop"] == "paper/gpu_loop.py, bfloat16"
    assert records[1]["environment"] == records[1]["tested_in"] == records[0]["environment"]
    arrays = [weights(folder / names[1]) for folder in folders]
    assert arrays[0].keys() == arrays[1].keys()
    for name, array in arrays[0].items():
        np.testing.assert_array_equal(array, arrays[1][name])

    # What was carried twice, or late, puts nothing back.
    call(script, monkeypatch, *run, *test)
    with tarfile.open(second) as tar:
        assert tar.getnames() == names


def weights(path):
    """The arrays of a weights file by name."""
    found = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, one: (
                found.update({name: one[()]}) if isinstance(one, h5py.Dataset) else None
            )
        )
    return found


@pytest.mark.parametrize(
    ("codes", "error"),
    [([0, 0], None), ([0, 143], Terminated), ([1, 0], ValueError)],
    ids=["done", "time is over", "failed"],
)
def test_several_processes(script, monkeypatch, tmp_path, codes, error):
    left, started = list(codes), []

    class Process:
        def __init__(self, command):
            started.append(command)

        def wait(self):
            return left.pop(0)

    monkeypatch.setattr(script.subprocess, "Popen", Process)
    run = ["run", "--data-dir", tmp_path, "--processes", "2", "--records", tmp_path / "here"]
    expected = pytest.raises((error, SystemExit)) if error else nullcontext()
    with expected:
        call(script, monkeypatch, *run, "--out", tmp_path / "out.gz")
    assert [command[-1] for command in started] == ["--worker", "--worker"]
    with tarfile.open(tmp_path / "out.gz") as tar:
        assert tar.getnames() == []


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


def test_a_checkpoint_that_can_not_be_read_is_named(tmp_path):
    (tmp_path / CHECKPOINT).write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(RunFolderError, match=r"gpu.npz' can't be read .*Remove it"):
        load(None, tmp_path, SETTING, [])


def test_slices_are_cells_of_table_1(script):
    cells = script.wanted(1, [3]) + script.wanted(2, [3])
    settings = [setting for cell in cells for setting in cell.settings]
    assert [(s.method, s.variant, s.sparsity) for s in settings] == [
        ("dense", "", 0.0),
        ("ssc", "dense_scale", 0.9),
        ("ssc", "per_filter+dense_scale", 0.98),
        ("ssc", "butterfly+per_filter+dense_scale", 0.98),
        ("ssc", "", 0.98),
        ("GraSP, its code", "", 0.98),
        ("SNIP", "", 0.98),
        ("SynFlow", "", 0.98),
        ("smart ratio", "", 0.98),
        ("random ERK", "", 0.98),
    ]
    assert {(s.network, s.dataset, s.epochs, s.image_size, s.held_out) for s in settings} == {
        ("ResNet32", "cifar10", 160, 32, 0)
    }
    assert [s.seed for cell in script.wanted(1, [3, 4]) for s in cell.settings] == [3] * 5 + [4] * 5
