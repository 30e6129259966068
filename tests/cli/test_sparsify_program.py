"""The programs sparsify and summarize: files, faults, exit codes."""

import csv
import resource
import runpy
import subprocess
import sys

import keras
import matplotlib.pyplot as plt
import numpy as np
import pytest

import keras_ssc

layers = keras.layers


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working folder, with a small compiled model in it."""
    monkeypatch.chdir(tmp_path)
    model = keras.Sequential([
        keras.Input((12, 12, 3)),
        layers.Conv2D(64, 3, name="first"),
        layers.Conv2D(64, 3, name="second"),
        layers.Conv2D(64, 3, name="third"),
        layers.GlobalAveragePooling2D(),
        layers.Dense(4, name="logits"),
    ])  # fmt: skip
    model.compile("sgd", "mse")
    model.save("dense.keras")
    return tmp_path


@pytest.fixture
def call(root, monkeypatch):
    """Run a program inside this process; returns its exit message, None for success."""

    def run(program, *arguments):
        monkeypatch.setattr(sys, "argv", [program, *map(str, arguments)])
        monkeypatch.syspath_prepend(root / "applications")  # as Python does for a program
        try:
            runpy.run_path(str(root / "applications" / program), run_name="__main__")
        except SystemExit as end:
            return end.code

    return run


def test_a_file_in_and_a_sparse_one_out(root, folder):
    command = [sys.executable, root / "applications" / "sparsify.py", "--model", "dense.keras"]
    command += ["--output", "sparse.keras", "--sparsity", "0.9", "--from-dense"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for words in ("second", "first convolution", "classifier", "2 of 4 layers", "sparse.keras: "):
        assert words in done.stdout
    assert sorted(file.name for file in folder.iterdir()) == ["dense.keras", "sparse.keras"]
    dense, sparse = (keras.models.load_model(name) for name in ("dense.keras", "sparse.keras"))
    second = sparse.get_layer("second")
    assert sparse.compiled
    assert keras_ssc.summary(sparse).layer_sparsity == pytest.approx(0.9, abs=0.01)
    expected = np.where(second.pattern.mask(), dense.get_layer("second").kernel, 0)
    np.testing.assert_array_equal(second.kernel, expected)
    assert (folder / "sparse.keras").stat().st_size < (folder / "dense.keras").stat().st_size / 3


def test_without_an_output_it_only_looks(folder, call, capsys):
    assert call("sparsify.py", "--model", "dense.keras", "--keep", "second") is None
    text = capsys.readouterr().out
    assert "2 of 4 layers" in text
    assert "kept" in text
    assert [file.name for file in folder.iterdir()] == ["dense.keras"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--model", "dense.keras", "--sparsity", "0"], "`sparsity` must lie strictly between"),
        (["--model", "dense.keras", "--sparsity", "1"], "`sparsity` must lie strictly between"),
        (["--model", "dense.keras", "--sparsity", "-1"], "`sparsity` must lie strictly between"),
        (["--model", "dense.keras", "--sparsity", "0.999"], "can't be reached"),
        (["--model", "dense.keras", "--keep", "fourth"], "'fourth'"),
        (["--model", "dense.keras", "--execution", "fast"], "`execution`"),
        (["--model", "nowhere.keras"], "nowhere.keras"),
        (["--model", "text.keras"], "text.keras"),
        (["--model", "lambda.keras"], "Lambda"),
        (["--model", "dense.keras", "--output", "there.keras"], "'there.keras' exists"),
        (["--model", "dense.keras", "--output", "out.h5"], "must end in .keras"),
        (["--model", "dense.keras", "--output", "folder.keras", "--overwrite"], "A folder stands"),
        (["--model", "dense.keras", "--output", "no/out.keras"], "does not exist"),
    ],
)
def test_refusals_leave_everything_as_it_was(folder, call, arguments, words):
    (folder / "text.keras").write_text("no model")
    (folder / "there.keras").write_text("mine")
    (folder / "folder.keras").mkdir()
    x = keras.Input((4,))
    keras.Model(x, layers.Lambda(lambda t: t * 2)(x)).save("lambda.keras")
    before = {file: file.is_file() and file.read_bytes() for file in folder.iterdir()}
    given = arguments if "--output" in arguments else [*arguments, "--output", "out.keras"]
    message = call("sparsify.py", *given)
    assert message.startswith("sparsify: ")
    assert words in message
    assert {file: file.is_file() and file.read_bytes() for file in folder.iterdir()} == before


def test_overwrite_replaces_the_file(folder, call):
    (folder / "there.keras").write_text("mine")
    arguments = ("--model", "dense.keras", "--output", "there.keras", "--overwrite")
    assert call("sparsify.py", *arguments) is None
    assert isinstance(
        keras.models.load_model("there.keras").get_layer("third"), keras_ssc.SSCConv2D
    )


@pytest.mark.parametrize("program", ["sparsify.py", "summarize.py"])
def test_wrong_flags_exit_2(call, program):
    assert call(program, "--modle", "dense.keras") == 2
    assert call(program) == 2


@pytest.mark.campaign
def test_a_full_disk_leaves_no_damaged_file(root, folder):
    def small_files_only():
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))

    command = [sys.executable, root / "applications" / "sparsify.py", "--model", "dense.keras"]
    command += ["--output", "sparse.keras"]
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=small_files_only)
    assert done.returncode == 1
    assert "\nsparsify: " in f"\n{done.stderr}"
    assert "Traceback" not in done.stderr
    assert [file.name for file in folder.iterdir()] == ["dense.keras"]


def test_summary_as_text_table_and_picture(folder, call, capsys):
    arguments = ("--model", "dense.keras", "--csv", "layers.csv", "--picture", "layers.png")
    assert call("summarize.py", *arguments) is None
    text = capsys.readouterr().out
    assert "third" in text
    assert "Network sparsity         0.0000" in text
    with open("layers.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == ["first", "second", "third", "logits"]
    assert rows[1]["dense_weights"] == "36864"
    assert plt.imread("layers.png").std() > 0.05
    assert "exists" in call("summarize.py", *arguments)
    assert call("summarize.py", *arguments, "--overwrite") is None
    assert "nowhere.keras" in call("summarize.py", "--model", "nowhere.keras")
