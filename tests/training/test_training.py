"""Config, learning rate, the run folder, and resuming after an early end."""

import csv
import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest

import keras_ssc
from keras_ssc.training import TrainingConfig, closing_table, train
from keras_ssc.training.run_folder import (
    RunFolderError,
    accept_moved,
    check_config,
    read_config,
    write_config,
)

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")

ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
# Small and quick: four steps an epoch.
SMALL = {"model": "ResNet20", "limit": 32, "batch_size": 8, "epochs": 2, "learning_rate": 0.01}
FLAGS = [
    flag for name, value in SMALL.items() for flag in (f"--{name.replace('_', '-')}", str(value))
]  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run: (folder, results)."""
    folder = tmp_path_factory.mktemp("run") / "digits"
    return folder, train(TrainingConfig(**SMALL), folder)


def weights(path):
    return keras.models.load_model(path).get_weights()


def rows(path):
    with open(path) as file:
        return list(csv.DictReader(file))


def test_recipes():
    cifar = TrainingConfig(dataset="cifar10")
    assert (cifar.epochs, cifar.batch_size, cifar.learning_rate) == (160, 128, 0.1)
    assert (cifar.momentum, cifar.l2, cifar.sparsity) == (0.9, 1e-4, 0.9)
    assert TrainingConfig(g=8, p=3).sparsity is None
    assert TrainingConfig(sparsity=0.0).sparsity == 0.0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model", "ResNet33"), ("dataset", "mnist"), ("epochs", 0), ("epochs", 1.5),
        ("batch_size", -1), ("batch_size", True), ("learning_rate", -0.1), ("learning_rate", 0),
        ("learning_rate", float("nan")), ("momentum", -1.0), ("l2", "much"), ("seed", -1),
        ("limit", 0),
    ],
)  # fmt: skip
def test_refuses_bad_settings(name, value):
    with pytest.raises((ValueError, TypeError), match=f"`{name}`"):
        TrainingConfig(**{name: value})


def test_run_folder_holds_everything(finished):
    folder, results = finished
    expected = {"settings.json", "summary.txt", "metrics.csv", "correlation.csv", "best.keras",
                "last.keras", "before.keras", "curves.png", "correlation.png",
                "classes.txt", "results.json"}  # fmt: skip
    if ON_TENSORFLOW:
        expected.add("saved_model")
    assert {path.name for path in folder.iterdir()} == expected
    record = json.loads((folder / "settings.json").read_text())
    assert record["settings"] == dataclasses.asdict(TrainingConfig(**SMALL))
    assert record["versions"]["keras"] == keras.__version__
    assert record["backend"] == keras.backend.backend()
    assert json.loads((folder / "results.json").read_text()) == results
    metrics = rows(folder / "metrics.csv")
    assert [row["epoch"] for row in metrics] == ["1", "2"]
    # x0.1 at half of the run.
    assert [float(row["learning_rate"]) for row in metrics] == pytest.approx([0.01, 0.001])
    correlation = rows(folder / "correlation.csv")
    assert len(correlation) == 2
    assert len(correlation[0]) == 1 + 21
    assert "stage3_block3_conv2" in (folder / "summary.txt").read_text()
    for picture in ("curves.png", "correlation.png"):
        assert (folder / picture).read_bytes().startswith(b"\x89PNG")


def test_closing_table_tells_what_was_reached(finished):
    _, results = finished
    assert results["network_sparsity"] == pytest.approx(0.9, abs=0.003)
    assert results["dense_trainable_parameters"] == 1_084_586
    text = closing_table(results)
    for words in ("sparsity asked", "0.9000", "0.9027", "1,084,586", "seconds per epoch"):
        assert words in text


def test_last_file_predicts_as_the_recorded_accuracy(finished):
    folder, results = finished
    digits = keras_ssc.datasets.load("digits")
    test = keras_ssc.datasets.Batches(
        digits.x_test[:32], digits.y_test[:32], 32, mean=digits.mean, std=digits.std
    )
    model = keras.models.load_model(folder / "last.keras")
    accuracy = (model.predict(test, verbose=0).argmax(-1) == digits.y_test[:32]).mean()
    assert accuracy == pytest.approx(results["last_accuracy"], abs=1e-6)


@pytest.mark.campaign  # tests/export writes and serves such files with every change
@pytest.mark.skipif(not ON_TENSORFLOW, reason="a SavedModel is TensorFlow's")
def test_saved_model_in_a_process_with_only_tensorflow(finished, tmp_path):
    x = np.random.default_rng(0).normal(size=(3, 32, 32, 3)).astype("float32")
    np.save(tmp_path / "x.npy", x)
    program = (
        "import sys, numpy as np, tensorflow as tf\n"
        "model = tf.saved_model.load(sys.argv[1])\n"
        "np.save(sys.argv[2] + '/y.npy', model.serve(np.load(sys.argv[2] + '/x.npy')))\n"
        "assert 'keras_ssc' not in sys.modules"
    )
    command = [sys.executable, "-c", program, finished[0] / "saved_model", tmp_path]
    subprocess.run(command, check=True, capture_output=True)
    expected = keras.models.load_model(finished[0] / "last.keras").predict(x, verbose=0)
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), expected, rtol=1e-5, atol=1e-6)


def test_finished_run_is_not_repeated(finished, capsys):
    folder, results = finished
    before = (folder / "last.keras").stat().st_mtime_ns
    assert train(TrainingConfig(**SMALL), folder, resume=True) == results
    assert "is finished" in capsys.readouterr().out
    assert (folder / "last.keras").stat().st_mtime_ns == before


# What the first version wrote into settings.json and, without data_dir, into its checkpoints.
FIRST_VERSION = {
    "model": "ResNet20", "sparsity": 0.9, "g": None, "p": None, "dataset": "digits",
    "data_dir": "sets", "epochs": 2, "batch_size": 8, "learning_rate": 0.01, "momentum": 0.9,
    "l2": 0.0001, "seed": 0, "limit": 32, "execution": "auto", "jit_compile": "auto",
}  # fmt: skip


def test_a_run_of_the_first_version_resumes(tmp_path):
    config = TrainingConfig(**SMALL)
    (tmp_path / "settings.json").write_text(json.dumps({"settings": FIRST_VERSION}))
    check_config(tmp_path, config)
    found = read_config(tmp_path)
    assert (found.learning_rate, found.data_dir, found.limit) == (0.01, "sets", 32)
    assert found.run_name() == config.run_name()
    assert json.loads(config.run_name()) == FIRST_VERSION | {"data_dir": None}
    assert TrainingConfig(**SMALL, bf16=True).run_name() != config.run_name()
    with pytest.raises(RunFolderError, match="bf16 was False, is True"):
        check_config(tmp_path, TrainingConfig(**SMALL, bf16=True))
    assert read_config(tmp_path, seed=3).seed == 3
    elsewhere = FIRST_VERSION | {"processes": 4, "process": 3, "address": "host:1", "devices": None}
    (tmp_path / "settings.json").write_text(json.dumps({"settings": elsewhere}))
    assert (read_config(tmp_path).processes, read_config(tmp_path).address) == (1, None)
    check_config(tmp_path, config)
    (tmp_path / "settings.json").write_text(json.dumps({"settings": {"depth": 3}}))
    with pytest.raises(RunFolderError, match=r"does not know: \['depth'\]"):
        read_config(tmp_path)


def test_a_run_resumes_where_its_images_have_moved(tmp_path):
    old, new, folder = tmp_path / "old", tmp_path / "new", tmp_path / "run"
    counts, classes = {"training": 30, "test": 6}, ("ants", "bees")
    folder.mkdir()
    old.mkdir()
    before = TrainingConfig(dataset=str(old), epochs=2)
    write_config(folder, before, counts)
    (folder / "classes.txt").write_text("ants\nbees\n")
    assert not check_config(folder, before, may_move=True)
    old.rename(new)
    with pytest.raises(RunFolderError, match=r"If the images have moved, .*: --data FOLDER"):
        read_config(folder)
    config = read_config(folder, dataset=str(new))
    assert config.run_name() == before.run_name()
    with pytest.raises(RunFolderError, match=r"dataset was .*old, is .*new"):
        check_config(folder, config)
    assert check_config(folder, config, may_move=True)
    for other in ((("ants", "cats"), counts), (classes, counts | {"test": 7})):
        with pytest.raises(RunFolderError, match=r"as many images of the same classes.*'test': 6"):
            accept_moved(folder, config, *other)
    accept_moved(folder, config, classes, counts)
    assert read_config(folder) == config
    others = {
        r"dataset was .*, epochs was 2, is 3": {"dataset": str(tmp_path), "epochs": 3},
        r"dataset was .*new, is digits": {"dataset": "digits"},
    }
    for words, change in others.items():
        with pytest.raises(RunFolderError, match=words):
            check_config(folder, dataclasses.replace(config, **change), may_move=True)


def test_taken_folder_and_other_settings_are_refused(finished, tmp_path):
    folder, _ = finished
    with pytest.raises(RunFolderError, match="is not empty"):
        train(TrainingConfig(**SMALL), folder)
    with pytest.raises(RunFolderError, match="seed was 0, is 1"):
        train(TrainingConfig(**SMALL, seed=1), folder, resume=True)
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(RunFolderError, match="holds files, but no run"):
        train(TrainingConfig(**SMALL), tmp_path, resume=True)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def program(*arguments, **options):
    command = [sys.executable, "-u", "applications/train.py", *FLAGS, *map(str, arguments)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


@pytest.mark.campaign
def test_killed_and_terminated_it_ends_with_equal_weights(finished, tmp_path, root, monkeypatch):
    monkeypatch.chdir(root)
    folder, _ = finished
    killed = tmp_path / "killed"
    process = program("--run-dir", killed)
    while not (killed / "last.keras").exists():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not (killed / "results.json").exists()
    # What a kill in the middle of writing leaves; this one fell behind it, or a moment before.
    (killed / ".writing-left").mkdir()

    # One process at a time; SIGTERM lets it finish and save a step.
    process = program("--run-dir", killed, "--resume")
    assert process.stdout.readline() == "Resuming after epoch 1 of 2.\n"
    with pytest.raises(RunFolderError, match=f"in use by process {process.pid} on"):
        train(TrainingConfig(**SMALL), killed, resume=True)
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate()
    assert process.returncode == 143, errors
    # Where it falls depends on the machine's load; tests/training/test_loop.py hits every step.
    where = re.search(r"Ended by SIGTERM after (step [123] of epoch 2|epoch [12])\.", output)

    resumed = program("--run-dir", killed, "--resume")
    output, errors = resumed.communicate()
    assert resumed.returncode == 0, errors
    assert f"Resuming after {where[1] if where else 'epoch 1'} of 2." in output
    assert len(rows(killed / "metrics.csv")) == 2
    for one, two in zip(
        weights(killed / "last.keras"), weights(folder / "last.keras"), strict=True
    ):
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6)
    assert not list(killed.glob(".writing-*")) or os.name == "nt"


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda whole: whole[: len(whole) // 2], "truncated or foreign"),
        (lambda _: b"no model", "foreign"),
    ],
)  # fmt: skip
def test_damaged_checkpoint_is_a_clear_error(finished, tmp_path, damage, words):
    folder, _ = finished
    run = tmp_path / "run"
    run.mkdir()
    (run / "settings.json").write_bytes((folder / "settings.json").read_bytes())
    damaged = damage((folder / "last.keras").read_bytes())
    (run / "last.keras").write_bytes(damaged)
    with pytest.raises(RunFolderError, match=words) as error:
        train(TrainingConfig(**SMALL), run, resume=True)
    assert "last.keras" in str(error.value)
    assert (run / "last.keras").read_bytes() == damaged


def test_resume_starts_afresh_in_an_empty_folder(tmp_path, monkeypatch):
    # What is asked here is only that it starts: the first look at the data ends it.
    def reached(name, data_dir):
        raise LookupError("started")

    monkeypatch.setattr(keras_ssc.datasets, "load", reached)
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "missing", tmp_path / "empty"):
        with pytest.raises(LookupError, match="started"):
            train(TrainingConfig(**SMALL), folder, resume=True)


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path, capsys):
    settings = TrainingConfig(**(SMALL | {"learning_rate": 1e30}))
    with pytest.raises(FloatingPointError, match=r"step \d of epoch 1"):
        train(settings, tmp_path / "run")
    assert not (tmp_path / "run" / "last.keras").exists()
