"""How the package starts: with words where Keras has no backend, quietly where it is a command.

Imported first. TensorFlow writes some lines to the screen that no log variable keeps away, since it
writes them before it reads one.
"""

import contextlib
import importlib
import itertools
import os
import sys
import tempfile
from pathlib import Path

QUIET = "KERAS_SSC_QUIET"  # set to 1: TensorFlow's lines stay off the screen


def _arguments():
    return getattr(sys, "argv", [])  # there are none in a program that embeds Python


def is_command():
    """Whether this process is `keras-ssc`, `python -m keras_ssc` or one that asks for quiet."""
    return (
        Path(*_arguments()[:1]).stem == "keras-ssc"
        or ("-m", "keras_ssc") in itertools.pairwise(sys.orig_argv)
        or os.environ.get(QUIET) == "1"
    )


@contextlib.contextmanager
def quiet():
    """Keep what is written to the error stream off the screen; after an exception it is shown."""
    try:
        screen = os.dup(2)
    except OSError:  # there is no error stream
        yield
        return
    with tempfile.TemporaryFile() as kept:
        os.dup2(kept.fileno(), 2)
        try:
            yield
        except BaseException:
            kept.seek(0)
            os.write(screen, kept.read())
            raise
        finally:
            os.dup2(screen, 2)
            os.close(screen)


def import_keras():
    """Import Keras, and say what to install where its backend is missing.

    Raises:
        ImportError: there is no backend; the message names the extras that bring one.
    """
    try:
        importlib.import_module("keras")
    except ModuleNotFoundError as error:
        if error.name not in ("tensorflow", "jax", "torch"):
            raise
        raise ImportError(
            f"Keras needs a backend, and {error.name} is not installed: "
            'pip install "keras-ssc[tensorflow]", or pip install "keras-ssc[jax]" with the '
            "environment variable KERAS_BACKEND=jax"
        ) from error


if is_command() and "--verbose" not in _arguments():
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # TensorFlow leaves oneDNN off on CPUs without AVX-512, where it would be two to three times
    # faster.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    with quiet():
        import_keras()
else:
    import_keras()
