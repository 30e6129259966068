"""The training program from the outside: flags, faults of the disk, exit codes."""

import argparse
import os
import resource
import subprocess
import sys

import pytest
from conftest import ROOT

from keras_ssc import applications
from keras_ssc.cli.config_arguments import given
from keras_ssc.cli.train import add_arguments
from keras_ssc.training.config import DATASETS

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")

PROGRAM = ROOT / "applications" / "train.py"
SMALL = ["--limit", "16", "--batch-size", "8", "--epochs", "1", "--learning-rate", "0.01"]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--epochs", "none"], "--epochs"),
        (["--sparcity", "0.9"], "--sparcity"),
        (["--model", "ResNet33"], "`model`"),
        (["--dataset", "mnist"], "`dataset`"),
        (["--epochs", "0"], "`epochs`"),
        (["--batch-size", "0"], "`batch_size`"),
        (["--learning-rate", "-1"], "`learning_rate`"),
        (["--seed", "-1"], "`seed`"),
    ],
)
def test_wrong_flags_are_one_line_and_exit_2(call, tmp_path, flags, words):
    code, errors = call(PROGRAM, ["--run-dir", str(tmp_path / "run"), *flags])
    assert code == 2
    assert words in errors.splitlines()[-1]
    assert "Traceback" not in errors
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--sparsity", "1.5"], "`sparsity`"),
        (["--g", "8"], "`g` and `p` go together"),
        (["--g", "64", "--p", "1"], "stage1_block1_conv1"),
        (["--sparsity", "0.9", "--g", "8", "--p", "3"], "not both"),
        (["--execution", "fast"], "`execution`"),
    ],
)
def test_what_the_builder_refuses_is_a_clear_word(call, tmp_path, flags, words):
    code, errors = call(PROGRAM, ["--run-dir", str(tmp_path / "run"), *SMALL, *flags])
    assert code == 1
    assert words in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        ([], 2, "--run-dir"),
        (["--resume", "none"], 1, "there is no run to resume: no folder 'none'"),
        (["--resume", "one", "--run-dir", "two"], 2, "must be the same folder"),
        (["--data", "tfds:cifar10", "--data-dir", "none", "--run-dir", "run"], 1, "not prepared"),
        (["--data", "tfds:mnist", "--data-dir", "none", "--run-dir", "run"], 1, "tfds build mnist"),
        (["--data", "imagenet2012", "--data-dir", "none", "--run-dir", "run"], 1, "not prepared"),
    ],
)
def test_what_cannot_begin_is_refused_at_once(call, monkeypatch, flags, code, words):
    monkeypatch.setattr("socket.socket.connect", None)  # nothing is asked of the internet
    found, errors = call(PROGRAM, flags)
    assert (found, words in errors) == (code, True), errors
    assert "Traceback" not in errors


def test_help_lists_models_and_sets(capsys):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    text = " ".join(parser.format_help().split())
    for name in (*applications.__all__, *DATASETS, "tfds:NAME", "x0.1 at 50 %"):
        assert name in text


def test_flags_are_those_of_the_config():
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    assert given(parser.parse_args([])) == {}
    words = [
        "--data",
        "digits",
        "--l2",
        "0.1",
        "--limit",
        "3",
        "--bf16",
        "--jit-compile",
        "no",
        "--run-dir",
        "x",
    ]
    expected = {"dataset": "digits", "l2": 0.1, "limit": 3, "bf16": True, "jit_compile": False}
    assert given(parser.parse_args(words)) == expected


def test_a_path_below_a_file(call, tmp_path):
    (tmp_path / "file").write_text("mine")
    code, errors = call(PROGRAM, ["--run-dir", str(tmp_path / "file" / "run"), *SMALL])
    assert code == 1
    assert "can't be a run folder" in errors
    assert (tmp_path / "file").read_text() == "mine"


def run(*arguments, **options):
    """Call the program; returns the finished process."""
    command = [sys.executable, PROGRAM, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, **options)


@pytest.mark.campaign
def test_a_full_disk_leaves_no_damaged_file(tmp_path):
    def small_files_only():
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    folder = tmp_path / "run"
    small = [*SMALL, "--model", "VGG11", "--sparsity", "0.98"]
    done = run("--run-dir", folder, *small, preexec_fn=small_files_only)
    # The fault happened: the tables fit below the limit, the first model did not.
    assert (folder / "metrics.csv").exists()
    assert not (folder / "best.keras").exists()
    assert done.returncode == 1
    assert "best.keras" in done.stderr
    assert "can't be written" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(folder.glob(".writing-*"))

    resumed = run("--run-dir", folder, *small, "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert "test accuracy, best" in resumed.stdout


def test_a_stop_before_anything_is_begun(tmp_path):
    command = [sys.executable, "-X", "importtime", PROGRAM, "--run-dir", tmp_path / "run"]
    loud = os.environ | {"KERAS_SSC_QUIET": "0"}  # its imports are followed on the error stream
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=loud)
    assert any("numpy" in line for line in process.stderr)  # it is still importing
    process.terminate()
    process.communicate()
    assert process.returncode == 143
    assert not (tmp_path / "run").exists()
