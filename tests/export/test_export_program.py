"""The export program from the outside."""

import subprocess
import sys

import pytest
from test_inference_model import network


@pytest.fixture
def run(root, monkeypatch):
    """Call the program; returns the finished process."""
    monkeypatch.chdir(root)

    def call(*arguments):
        command = [sys.executable, "applications/export.py", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    return call


def test_exports_a_saved_model_and_refuses_clearly(run, tmp_path):
    saved, path = tmp_path / "network.keras", tmp_path / "small.keras"
    network().save(saved)
    flags = ["--model", saved, "--format", "keras", "--path", path]
    done = run(*flags)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{path}: {path.stat().st_size:,} bytes")
    again = run(*flags)
    assert again.returncode == 1
    assert "overwrite" in again.stderr.splitlines()[-1]
    assert "Traceback" not in again.stderr


def test_a_wrong_flag_is_one_line_and_exit_2(run):
    done = run("--modle", "network.keras")
    assert done.returncode == 2
    assert "--model" in done.stderr.splitlines()[-1]
