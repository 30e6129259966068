"""Settings and fixtures shared by all tests."""

import gc
import os
import runpy
import sys
from pathlib import Path

os.environ.setdefault("MPLBACKEND", "Agg")  # no test opens a window
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import pytest
from hypothesis import settings

ROOT = Path(__file__).parents[1]

# A collection of garbage looks through all that lives, a quarter of a second each, mostly at what
# imports have made. What is there now is left out, and collections come less often.
gc.freeze()
gc.set_threshold(10_000, 10, 10)

# The same cases on every machine and run: a red test can be repeated.
# `pytest --hypothesis-profile=search` looks for new ones.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None, max_examples=2000)
settings.load_profile("repeatable")


@pytest.fixture(autouse=True)
def seeded():
    """Seed Python, NumPy and the backend."""
    keras.utils.set_random_seed(0)


@pytest.fixture(scope="module", autouse=True)
def swept():
    """Put aside what is left after each file.

    TensorFlow keeps its graphs: a million objects that every collection of garbage would look
    through again, two seconds each.
    """
    yield
    keras.backend.clear_session()
    gc.collect()
    gc.freeze()


@pytest.fixture
def compiler():
    """Skip where there is no C++ compiler for the native kernels; one that fails is a failure."""
    from keras_ssc.native.build import load

    _, why_not = load()
    if why_not and "no C++ compiler" in why_not:
        pytest.skip(why_not)
    assert why_not is None


@pytest.fixture(scope="session")
def root():
    """The folder of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def real_images(root):
    """The folder with the real image sets beside the repository; skips where there is none."""
    folder = root.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real images: {folder} does not exist")
    return folder


@pytest.fixture
def guarded(tmp_path, monkeypatch):
    """A folder to work in, beside which nothing may appear."""
    folder = tmp_path / "one" / "two"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    before = sorted(tmp_path.rglob("*"))
    yield folder
    assert [path for path in sorted(tmp_path.rglob("*")) if path not in before] == sorted(
        folder.rglob("*")
    )
    assert not list(tmp_path.rglob("executed*"))


@pytest.fixture
def call(monkeypatch, capsys, tmp_path):
    """Run a program inside this process; returns (exit code, last lines of its errors)."""

    def run(program, arguments):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", [program.name, *arguments])
        monkeypatch.syspath_prepend(program.parent)  # as Python does for a program
        with pytest.raises(SystemExit) as stop:
            runpy.run_path(str(program), run_name="__main__")
        code, errors = stop.value.code, capsys.readouterr().err
        return (1, code) if isinstance(code, str) else (code, errors)

    return run


def pytest_terminal_summary(terminalreporter):
    """Print what `make fuzz` has tried."""
    misuse = sys.modules.get("misuse")
    if misuse is not None and misuse.OUTCOMES and misuse.TIMES > 1:
        terminalreporter.write_line("\n" + misuse.table())


def pytest_sessionfinish(session):
    """What `make fuzz` has found makes it fail."""
    misuse = sys.modules.get("misuse")
    if misuse is not None and misuse.FINDINGS:
        session.exitstatus = 1
