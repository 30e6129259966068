"""`keras-ssc NAME ...`: reading the command line, and how every subcommand ends.

A subcommand is a module with a docstring, whose first line is its help, and two functions:
`add_arguments(parser)` and `run(arguments)`, which returns the exit code, None for 0.
"""

import argparse
import logging
import os
import signal
import sys
import traceback

from keras_ssc.cli import export, kernels, settings, sparsify, summarize, sweep, train, version

SUBCOMMANDS = {
    module.__name__.rpartition(".")[2]: module
    for module in (train, sparsify, summarize, export, sweep, settings, kernels, version)
}
CLOSED_PIPE = 141  # 128 + SIGPIPE, as other programs
INTERRUPTED = 130  # 128 + SIGINT
EXPECTED = (FloatingPointError, ImportError, OSError, RuntimeError, TypeError, ValueError)


def main(words=None):
    """Run `keras-ssc` with the words of a command line, by default this process's; then exit.

    Exit codes: 0, 1 for what goes wrong (one line says what), 2 for wrong arguments, 130 after
    Ctrl-C, 141 for a pipe that nobody reads, 143 after SIGTERM.
    """
    parser = argparse.ArgumentParser(
        prog="keras-ssc",
        description="Sparse convolutional networks for Keras: train, convert, look at, export.",
        epilog="keras-ssc NAME --help tells the arguments of a subcommand.",
    )
    parsers = parser.add_subparsers(metavar="NAME", required=True)
    for name, module in SUBCOMMANDS.items():
        help_line = (module.__doc__ or "").split("\n")[0]
        _prepare(parsers.add_parser(name, help=help_line, description=help_line), name, module)
    sys.exit(_run(parser, words))


def program(name):
    """Run one subcommand with this process's command line, as a program of its own; then exit.

    Args:
        name: str, a subcommand.
    """
    module = SUBCOMMANDS[name]
    parser = argparse.ArgumentParser(description=(module.__doc__ or "").split("\n")[0])
    _prepare(parser, name, module)
    sys.exit(_run(parser, None))


def _prepare(parser, name, module):
    parser.add_argument("--verbose", action="store_true", help="show what TensorFlow logs, too")
    module.add_arguments(parser)
    parser.set_defaults(subcommand=(parser, name, module))


def _run(parser, words):
    """What a command line gives `sys.exit`."""
    code = 0
    try:
        try:
            code = _call(parser.parse_args(words))
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # Python writes what is left once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CLOSED_PIPE
    return code


def _call(arguments):
    """The exit code; or what goes wrong as one line, which `sys.exit` prints and makes 1 of.

    With `--verbose` the place that it comes from is printed, too.
    """
    parser, name, module = arguments.subcommand
    verbose = arguments.verbose
    del arguments.subcommand, arguments.verbose
    label = name if parser.prog.endswith(".py") else parser.prog
    if not verbose:
        for logger in ("absl", "tensorflow"):
            logging.getLogger(logger).setLevel(logging.ERROR)
    # Until there is a training that would finish its step.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        return module.run(arguments)
    except BrokenPipeError:
        raise
    except KeyboardInterrupt:
        print(f"\n{label}: interrupted", file=sys.stderr)
        return INTERRUPTED
    except EXPECTED as error:
        if verbose:
            traceback.print_exc()
        return f"{label}: {error}"
