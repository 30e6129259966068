"""The programs of applications/ as a shell uses them: a closed pipe, another folder."""

import os
import subprocess
import sys

import pytest
from conftest import ROOT

PROGRAMS = sorted((ROOT / "applications").glob("[!_]*.py"))


def into_closed_pipe(program, *arguments):
    """Run a program whose output nobody reads, as `program | true`."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        command = [sys.executable, ROOT / "applications" / program, *map(str, arguments)]
        done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True)
    finally:
        os.close(writing)
    return done.returncode, done.stderr


# They end alike: a door of the command and a program of its own run with the other tests.
ENOUGH = ("summarize", "reproduce")


@pytest.mark.parametrize(
    "program",
    [
        one if one.stem in ENOUGH else pytest.param(one, marks=pytest.mark.campaign)
        for one in PROGRAMS
    ],
    ids=lambda program: program.stem,
)
def test_every_program_ends_quietly_on_a_closed_pipe(program):
    code, errors = into_closed_pipe(program.name, "--help")
    assert errors == ""
    assert code in (0, 141)  # argparse itself passes over what it can't print


def lines_of_ours(errors):
    """Errors without the lines that TensorFlow prints when it is loaded."""
    return [
        line for line in errors.splitlines() if not line.startswith(("I0000", "WARNING", "E00"))
    ]


@pytest.mark.campaign
def test_a_list_of_runs_into_a_closed_pipe():
    pytest.importorskip("matplotlib")
    code, errors = into_closed_pipe("reproduce.py", "table1", "--list")
    assert (code, lines_of_ours(errors)) == (141, [])


@pytest.mark.campaign
def test_a_training_into_a_closed_pipe_can_be_resumed(tmp_path):
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    flags = ["--model", "ResNet20", "--limit", 16, "--batch-size", 8, "--epochs", 1]
    flags += ["--run-dir", tmp_path / "run"]
    code, errors = into_closed_pipe("train.py", *flags)
    assert (code, lines_of_ours(errors)) == (141, [])
    command = [sys.executable, ROOT / "applications" / "train.py", *map(str, flags), "--resume"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Everything is in" in done.stdout


def test_a_report_without_runs_is_refused(call, tmp_path):
    program = ROOT / "applications" / "report.py"
    code, errors = call(program, [])
    assert code == 1
    assert "no run of protocol 'small' in 'docs/evidence/records', which does not exist" in errors
    assert "--empty" in errors
    assert not list(tmp_path.iterdir())
