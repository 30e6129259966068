"""SIGTERM and Ctrl-C: the step is finished and saved before the program ends."""

import os
import signal
import threading
from contextlib import contextmanager

_OUTSIDE = "outside the training; what was saved before is there"


class Terminated(SystemExit):
    """SIGTERM came; exit code 143.

    Args:
        where: str, what is saved.

    Example:

    >>> Terminated("after epoch 3").code
    143
    """

    def __init__(self, where):
        super().__init__(143)
        self.where = where


class Interrupted(KeyboardInterrupt):
    """Ctrl-C came, and the step was finished and saved.

    Args:
        where: str, what is saved.

    Example:

    >>> Interrupted("after epoch 3").where
    'after epoch 3'
    """

    def __init__(self, where):
        super().__init__(where)
        self.where = where


class Termination:
    """Within its `with` block SIGTERM raises `Terminated`; while `fit` runs, only after a save.

    Ctrl-C does likewise, with `Interrupted`; pressed again, it stops at once. Outside the main
    thread, where Python gives no signals, it does nothing.

    Example:

    >>> with Termination() as termination:
    ...     termination.asked
    False
    """

    def __init__(self):
        self.asked, self._waits, self._raised, self._before = False, False, False, {}
        self._kind = Terminated

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            for number, note in ((signal.SIGTERM, self._note), (signal.SIGINT, self._interrupt)):
                self._before[number] = signal.signal(number, note)
        return self

    def __exit__(self, kind, error, _):
        for number, before in self._before.items():
            signal.signal(number, before)
        # C code that the signal fell into (TensorFlow's imports) may make another error of it.
        if self._raised and isinstance(error, Exception):
            raise Terminated(_OUTSIDE) from error

    def end(self, where):
        """Return the exception that ends the training, after what was saved."""
        return self._kind(where)

    def _note(self, number, frame):
        self.asked, self._kind = True, Terminated
        if not self._waits:
            self._raised = True
            raise Terminated(_OUTSIDE)

    def _interrupt(self, number, frame):
        if self.asked or not self._waits:
            raise KeyboardInterrupt
        self.asked, self._kind = True, Interrupted
        os.write(2, b"\nFinishing and saving this step. Ctrl-C again stops at once.\n")

    @contextmanager
    def waits(self):
        """In this block a signal is only noted."""
        self._waits = True
        try:
            yield
        finally:
            self._waits = False
        if self.asked:
            raise self.end("after the last epoch")
