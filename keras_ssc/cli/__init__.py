"""The command `keras-ssc`: each module here is a subcommand, and `command` chooses among them."""

from keras_ssc.cli.command import main, program

__all__ = ["main", "program"]
