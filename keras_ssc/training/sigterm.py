"""SIGTERM: the step is finished and saved before the program ends."""

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


class Termination:
    """Within its `with` block SIGTERM raises `Terminated`; while `fit` runs, only after a save.

    Outside the main thread, where Python gives no signals, it does nothing.

    Example:

    >>> with Termination() as termination:
    ...     termination.asked
    False
    """

    def __init__(self):
        self.asked, self._waits, self._raised, self._before = False, False, False, None

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGTERM, self._note)
        return self

    def __exit__(self, kind, error, _):
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)
        # C code that the signal fell into (TensorFlow's imports) may make another error of it.
        if self._raised and isinstance(error, Exception):
            raise Terminated(_OUTSIDE) from error

    def _note(self, number, frame):
        self.asked = True
        if not self._waits:
            self._raised = True
            raise Terminated(_OUTSIDE)

    @contextmanager
    def waits(self):
        """In this block a signal is only noted."""
        self._waits = True
        try:
            yield
        finally:
            self._waits = False
        if self.asked:
            raise Terminated("after the last epoch")
