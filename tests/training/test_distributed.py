"""Training on several devices or processes equals training on one; a lost process is named."""

import json
import os
import signal
import socket
import subprocess
import sys

import keras
import numpy as np
import pytest
from conftest import ROOT

from keras_ssc.datasets import Batches, load
from keras_ssc.datasets.sharding import ShardedBatches
from keras_ssc.training.config import TrainingConfig
from keras_ssc.training.devices import data_parallel, join, synchronized
from keras_ssc.training.distributed import train_distributed
from keras_ssc.training.lock import FolderInUseError, locked
from keras_ssc.training.sigterm import Terminated

NAMES = ("loss", "gradient", "weights")
JAX = keras.backend.backend() == "jax"


def start(**arguments):
    """Start tests/training/distributed_job.py on the backend of this test."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "KERAS_BACKEND": keras.backend.backend()}
    environment.pop("XLA_FLAGS", None)
    command = [
        sys.executable,
        str(ROOT / "tests/training/distributed_job.py"),
        json.dumps(arguments),
    ]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def finish(process, code=0, timeout=500):
    """Wait for a job; return what it printed."""
    try:
        printed, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    assert process.returncode == code, printed[-2000:]
    return printed


def largest_differences(one, other):
    """Return the largest difference of losses, first gradients and last weights."""
    a, b = np.load(one), np.load(other)
    return {
        name: float(np.abs(a[name] - b[name]).max()) for name in ("loss", "gradient", "weights")
    }


def free_address():
    """Return an address of this machine that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{listener.getsockname()[1]}"


def run_both(tmp_path, devices, **arguments):
    """Train on one device and on several; return the differences."""
    for split in (1, devices):
        finish(
            start(
                split=split,
                run_dir=str(tmp_path / str(split)),
                out=str(tmp_path / f"{split}.npz"),
                **arguments,
            )
        )
    assert np.load(tmp_path / f"{devices}.npz")["images_per_device"] == 64 // devices
    return largest_differences(tmp_path / "1.npz", tmp_path / f"{devices}.npz")


@pytest.mark.campaign
@pytest.mark.jax_long
def test_two_devices_equal_one(tmp_path):
    found = run_both(tmp_path, 2, norm=True, job={"epochs": 3})
    assert max(found.values()) < 1e-4, found


@pytest.mark.campaign
@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("execution", ["native", "grouped", "dense", "gather"])
def test_four_devices_equal_one_in_every_form(tmp_path, execution, norm):
    found = run_both(tmp_path, 4, norm=norm, job={"execution": execution})
    print(f"{keras.backend.backend()}, 4 devices, {execution}, norm {norm}: {found}")
    assert max(found.values()) < 1e-4, found


@pytest.mark.campaign
@pytest.mark.skipif(not JAX, reason="accumulation under a strategy is JAX's")
def test_pieces_of_a_batch_equal_the_batch(tmp_path):
    for name, split, accumulate in (("whole", 1, 1), ("pieces", 4, 2)):
        job = {"epochs": 6, "accumulate": accumulate}
        out = str(tmp_path / f"{name}.npz")
        finish(start(split=split, job=job, run_dir=str(tmp_path / name), out=out))
    found = largest_differences(tmp_path / "whole.npz", tmp_path / "pieces.npz")
    assert max(found.values()) < 1e-4, found


@pytest.mark.campaign
@pytest.mark.skipif(not JAX, reason="several processes are JAX's")
def test_two_processes_equal_one(tmp_path):
    finish(start(norm=True, run_dir=str(tmp_path / "one"), out=str(tmp_path / "one.npz")))
    job = {"address": free_address(), "processes": 2}
    both = [
        start(
            norm=True,
            run_dir=str(tmp_path / "two"),
            out=str(tmp_path / "two.npz"),
            job=job | {"process": process},
        )
        for process in (0, 1)
    ]
    for process in both:
        finish(process)
    found = largest_differences(tmp_path / "one.npz", tmp_path / "two.npz")
    print(f"jax, 2 processes: {found}")
    assert max(found.values()) < 1e-4, found


@pytest.mark.campaign
@pytest.mark.skipif(not JAX, reason="several processes are JAX's")
def test_a_lost_process_ends_the_others(tmp_path):
    job = {"address": free_address(), "processes": 2}
    left = start(run_dir=str(tmp_path / "run"), job=job | {"process": 0})
    lost = start(run_dir=str(tmp_path / "run"), die_in=3, job=job | {"process": 1})
    finish(lost, -signal.SIGKILL)
    printed, _ = left.communicate(timeout=120)
    assert left.returncode != 0
    assert "a process of this training is gone" in printed


@pytest.mark.campaign
def test_a_killed_run_resumes_with_another_number_of_devices(tmp_path):
    finish(start(norm=True, run_dir=str(tmp_path / "one"), out=str(tmp_path / "one.npz")))
    run = {"norm": True, "run_dir": str(tmp_path / "run"), "out": str(tmp_path / "run.npz")}
    finish(start(split=4, die_in=7, **run), -signal.SIGKILL)
    finish(start(split=2, die_in=14, **run), -signal.SIGKILL)
    finish(start(split=1, **run))
    one, run = np.load(tmp_path / "one.npz"), np.load(tmp_path / "run.npz")
    for name in ("loss", "weights"):
        np.testing.assert_allclose(run[name], one[name], atol=1e-4)


def images(count):
    """Return `count` numbered images and labels."""
    return np.arange(count, dtype="uint8").reshape(-1, 1, 1, 1), np.zeros(count, "int32")


def test_parts_together_are_the_batch():
    whole = Batches(*images(11), 4, mean=(0,), std=(1 / 255,), shuffle=True)
    parts = [ShardedBatches(whole, 2, process, accumulate=2).epoch(3) for process in (0, 1)]
    assert [len(part) for part in parts] == [4, 4]
    read = [part[piece][0] for piece in (0, 1) for part in parts]
    np.testing.assert_array_equal(np.concatenate(read), whole[0][0])


def test_a_test_is_filled_up_with_weight_0():
    part = ShardedBatches(Batches(*images(5), 4, mean=(0,), std=(1,)), 2, 0, fill=True)
    assert [part[index][2].tolist() for index in (0, 1)] == [[1, 1], [1, 0]]


@pytest.mark.skipif(JAX, reason="SyncBN is TensorFlow's; JAX always computes it")
def test_synchronized_copies_weights():
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(3), keras.layers.BatchNormalization()]
    )
    new = synchronized(model)
    assert new.layers[-1].synchronized
    for a, b in zip(model.get_weights(), new.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_too_many_devices_are_refused():
    with pytest.raises(ValueError, match="`devices` must be at most"):
        data_parallel(999)


@pytest.mark.skipif(JAX, reason="these are TensorFlow's limits")
def test_what_keras_cannot_do_on_tensorflow_is_refused():
    with pytest.raises(RuntimeError, match="MultiWorkerMirroredStrategy"):
        join("127.0.0.1:1", 2, 0)
    with pytest.raises(ValueError, match="`accumulate` > 1 needs"):
        TrainingConfig(accumulate=2)


def build(shape, classes):
    """A network that compiles at once."""
    pooled = keras.layers.AveragePooling2D(8)
    end = keras.layers.Dense(classes, activation="softmax")
    return keras.Sequential([keras.Input(shape), pooled, keras.layers.Flatten(), end])


def test_the_test_is_that_of_all_images_and_no_others(tmp_path):
    job = TrainingConfig(
        limit=10, batch_size=8, epochs=2, devices=1
    )  # 2 test batches, the last of 2 images
    model, rows = train_distributed(job, tmp_path, build)
    digits = load("digits")
    test = Batches(digits.x_test[:10], digits.y_test[:10], 10, mean=digits.mean, std=digits.std)
    answers = model.predict(test, verbose=0)
    expected = -np.log(answers[np.arange(10), digits.y_test[:10]]).mean()
    assert rows[-1]["val_loss"] == pytest.approx(expected, rel=1e-4)
    assert rows[-1]["val_accuracy"] == pytest.approx(
        (answers.argmax(-1) == digits.y_test[:10]).mean()
    )
    assert list(rows[-1]) == ["epoch", "accuracy", "loss", "val_accuracy", "val_loss"]


class Killer(keras.callbacks.Callback):
    """Sends this process a signal at the end of a step."""

    def __init__(self, step):
        super().__init__()
        self.left = step

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if self.left == 0:
            signal.raise_signal(signal.SIGTERM)


def test_an_interrupted_epoch_resumes_in_its_middle(tmp_path, capsys):
    config = TrainingConfig(limit=12, batch_size=4, epochs=2, devices=1)
    uninterrupted, rows = train_distributed(config, tmp_path / "one", build)
    with pytest.raises(Terminated) as end:
        train_distributed(config, tmp_path / "two", build, [Killer(step=4)])
    assert end.value.where == "after step 1 of epoch 2"
    resumed, same_rows = train_distributed(config, tmp_path / "two", build, resume=True)
    assert "Resuming after step 1 of epoch 2 of 2." in capsys.readouterr().out
    assert rows == same_rows
    for one, two in zip(uninterrupted.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    files = [(tmp_path / name / "metrics.csv").read_bytes() for name in ("one", "two")]
    assert files[0] == files[1]


def test_a_folder_in_use_is_refused(tmp_path):
    with locked(tmp_path), pytest.raises(FolderInUseError, match=f"process {os.getpid()} on"):
        train_distributed(TrainingConfig(limit=8, batch_size=8, devices=1), tmp_path)
    assert not (tmp_path / "last.keras").exists()


def test_a_batch_that_cannot_be_shared_is_refused():
    with pytest.raises(ValueError, match="`batch_size` must be a multiple of 3 processes"):
        ShardedBatches(Batches(*images(8), 4, mean=(0,), std=(1,)), 3, 0)
