"""How every program here ends: what goes wrong is one line, a closed pipe is no error."""

import os
import sys
from pathlib import Path

# The folder `paper` stands beside the package, and in no wheel.
sys.path.append(str(Path(__file__).resolve().parents[1]))

CLOSED_PIPE = 141  # 128 + SIGPIPE, as other programs


def door(name):
    """Run the subcommand `name` of `keras-ssc` as a program of its own."""
    os.environ.setdefault("KERAS_SSC_QUIET", "1")
    from keras_ssc.cli import program

    program(name)


def run(main):
    """Call `main`, and end quietly where nobody reads on, as in `program | head`."""
    try:
        try:
            main()
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # Python writes what is left once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(CLOSED_PIPE)


def stop(error):
    """End with one line on what went wrong; a closed pipe is left to `run`."""
    if isinstance(error, BrokenPipeError):
        raise error
    sys.exit(f"{Path(sys.argv[0]).stem}: {error}")
