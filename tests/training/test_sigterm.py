"""SIGTERM outside of the training ends the program, whatever C code makes of it; Ctrl-C waits."""

import os
import signal
from contextlib import nullcontext

import pytest

from keras_ssc.training.sigterm import Interrupted, Terminated, Termination


def swallowed():
    """What C code does that the signal falls into."""
    with Termination():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except SystemExit:
            raise AttributeError("no attribute '_type_spec'") from None


def test_an_error_that_foreign_code_makes_of_the_signal_is_still_the_end():
    with pytest.raises(Terminated, match="143") as caught:
        swallowed()
    assert isinstance(caught.value.__cause__, AttributeError)


def test_an_error_without_a_signal_is_itself():
    with pytest.raises(AttributeError), Termination():
        raise AttributeError


@pytest.fixture
def ctrl_c():
    """Ctrl-C as in a terminal; a shell ignores it in what runs in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupted(times, waits=True):
    """A training during which Ctrl-C comes, and which then saves and ends."""
    with Termination() as termination, termination.waits() if waits else nullcontext():
        for _ in range(times):
            signal.raise_signal(signal.SIGINT)
        assert termination.asked
        raise termination.end("after step 3")


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_waits_for_the_save(capfd):
    with pytest.raises(Interrupted) as end:
        interrupted(1)
    assert end.value.where == "after step 3"
    assert "Ctrl-C again stops at once" in capfd.readouterr().err


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize(("times", "waits"), [(2, True), (1, False)])
def test_ctrl_c_twice_or_outside_of_the_training_stops_at_once(times, waits):
    with pytest.raises(KeyboardInterrupt) as end:
        interrupted(times, waits)
    assert end.type is KeyboardInterrupt


def test_an_ignored_ctrl_c_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Termination() as termination:
            signal.raise_signal(signal.SIGINT)
            assert not termination.asked
    finally:
        signal.signal(signal.SIGINT, before)
