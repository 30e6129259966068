"""SIGTERM outside the training ends the program as told, whatever C code makes of it."""

import os
import signal

import pytest

from keras_ssc.training.sigterm import Terminated, Termination


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
