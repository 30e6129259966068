"""`keras-ssc`: its subcommands, exit codes and what it keeps off the screen."""

import re
import subprocess
import sys

import keras
import pytest

from keras_ssc.cli import command

layers = keras.layers


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    """Run a command line in this process; returns (exit code, output, errors)."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        with pytest.raises(SystemExit) as end:
            command.main([str(word) for word in words])
        code, (text, errors) = end.value.code or 0, capsys.readouterr()
        return (1, text, f"{errors}{code}\n") if isinstance(code, str) else (code, text, errors)

    return run


def small_model(path):
    keras.Sequential([
        keras.Input((8, 8, 3)),
        layers.Conv2D(64, 3, name="first"),
        layers.Conv2D(64, 3, name="second"),
        layers.GlobalAveragePooling2D(),
        layers.Dense(4, name="logits"),
    ]).save(path)  # fmt: skip


def test_help_names_every_subcommand(call):
    code, text, _ = call("--help")
    assert code == 0
    for name in command.SUBCOMMANDS:
        assert re.search(rf"^    {name}\b", text, re.MULTILINE)


@pytest.mark.parametrize("name", command.SUBCOMMANDS)
def test_every_subcommand_has_help_and_refuses_what_it_does_not_know(name, call):
    code, text, _ = call(name, "--help")
    assert code == 0
    assert "--verbose" in text
    code, _, errors = call(name, "--nonsense")
    assert code == 2
    assert f"keras-ssc {name}: error: " in errors.splitlines()[-1] or "keras-ssc: error" in errors


def test_no_subcommand_is_exit_2(call):
    assert call()[0] == 2
    assert call("paint")[0] == 2


def test_sparsify_summarize_and_export_a_file(call, tmp_path):
    small_model(tmp_path / "dense.keras")
    code, text, _ = call("sparsify", "--model", "dense.keras", "--output", "sparse.keras")
    assert (code, "1 of 3 layers" in text) == (0, True)
    code, text, _ = call("summarize", "--model", "sparse.keras")
    assert (code, "SSCConv2D" in text) == (0, True)
    flags = ("--model", "sparse.keras", "--format", "keras", "--path", "out.keras")
    code, text, _ = call("export", *flags)
    assert (code, text.startswith("out.keras: ")) == (0, True)
    code, _, errors = call("export", *flags)
    assert code == 1
    assert errors.startswith("keras-ssc export: ")
    assert len(errors.splitlines()) == 1


def test_verbose_shows_where_an_error_is_from(call):
    code, _, errors = call("summarize", "--model", "none.keras", "--verbose")
    assert code == 1
    assert "Traceback" in errors
    assert errors.splitlines()[-1].startswith("keras-ssc summarize: 'none.keras' can't be read")


def test_settings_of_a_layer_a_network_and_a_file(call, tmp_path):
    code, text, _ = call("settings", "--layer", 64, 64, "--sparsity", 0.8, 0.9)
    assert code == 0
    assert re.search(r"^ *0\.9  8  3 +0\.9062  3,456 of 36,864$", text, re.MULTILINE)
    code, text, _ = call("settings", "--model", "ResNet20", "--sparsity", 0.9)
    assert (code, "Network sparsity         0.9" in text) == (0, True)
    small_model(tmp_path / "dense.keras")
    code, text, _ = call("settings", "--model", "dense.keras", "--sparsity", 0.9)
    assert (code, "first convolution" in text) == (0, True)
    code, _, errors = call("settings", "--layer", 8, 8, "--sparsity", 0.999)
    assert (code, "Nearest reachable" in errors) == (1, True)
    code, _, errors = call("settings", "--model", "ResNet21")
    assert (code, "`model` must be one of" in errors) == (1, True)


def test_version_names_what_is_here(call):
    code, text, _ = call("version")
    assert code == 0
    assert f"keras       {keras.__version__}\n" in text
    assert f"backend     {keras.backend.backend()}\n" in text


def test_kernels_say_what_is_found_and_why_not(call, monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_SSC_CACHE", str(tmp_path / "cache"))
    code, text, _ = call("kernels")
    assert (code, "not compiled yet" in text) == (0, True)
    assert str(tmp_path / "cache") in text
    assert not (tmp_path / "cache").exists()
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setattr(
        "keras_ssc.native.why_not_native_operations", lambda: "no C++ compiler was found"
    )
    code, text, _ = call("kernels", "--compile")
    assert (code, "none found" in text) == (1, True)
    assert text.endswith("Not native: no C++ compiler was found\n")


def test_interrupted_and_terminated(call, monkeypatch):
    def interrupt(arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(command.SUBCOMMANDS["version"], "run", interrupt)
    code, _, errors = call("version")
    assert (code, errors) == (130, "\nkeras-ssc version: interrupted\n")


def test_nothing_but_ours_is_on_the_screen():
    done = subprocess.run(
        [sys.executable, "-m", "keras_ssc", "settings", "--layer", "8", "8", "--sparsity", "0.99"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("keras-ssc settings: `sparsity` can't be reached")
    assert len(done.stderr.splitlines()) == 1


def test_sweep_trains_draws_and_resumes(call, tmp_path):
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    words = ["sweep", "--sparsities", 0.9, "--epochs", 1, "--limit", 16, "--run-dir", "runs"]
    code, text, _ = call(*words)
    assert code == 0
    assert "epoch 1/1  loss" in text
    row = text.splitlines()[-3]
    assert row.split()[0] == "0.9"
    assert {file.name for file in (tmp_path / "runs").iterdir()} == {
        "sparsity-0.9.json", "sparsity-0.9.keras", "sweep.png",
    }  # fmt: skip
    code, text, _ = call(*words)
    assert (code, "epoch" in text) == (0, False)
    assert text.splitlines()[-3] == row
