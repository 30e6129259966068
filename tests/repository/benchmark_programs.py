"""What the tests of the benchmarks share: their folder on the path, and a small network."""

import sys

import pytest
from conftest import ROOT
from tiny_networks import Tiny

import keras_ssc

BENCHMARKS = ROOT / "benchmarks"


@pytest.fixture(autouse=True)
def programs_found(monkeypatch):
    """The programs import each other by name; no name of theirs outlives a test."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    before = set(sys.modules)
    yield
    own = {"common", *(path.stem for path in BENCHMARKS.glob("*.py"))}
    for name in set(sys.modules) - before:
        if name.split(".")[0] in own:
            del sys.modules[name]


@pytest.fixture
def tiny(monkeypatch):
    """A subject of four convolutions, in the list under the name of "Tiny"."""
    from common import subjects

    monkeypatch.setattr(keras_ssc.applications, "Tiny", Tiny, raising=False)
    images = {"input_shape": (16, 16, 3), "classes": 4}
    sparse = {"(8, 4)": {"g": 8, "p": 4}}
    subject = subjects.Subject("Tiny", images, sparse, (2,))
    monkeypatch.setitem(subjects.SUBJECTS, "Tiny", subject)
    return subject
