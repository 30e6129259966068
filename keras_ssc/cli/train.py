"""Train a network of `keras_ssc.applications` at a sparsity, with GraSP's recipe.

keras-ssc train --data FOLDER --model ResNet50 --sparsity 0.9 --run-dir runs/mine
keras-ssc train --resume runs/mine
"""

import argparse
import sys
from pathlib import Path

from keras_ssc import applications
from keras_ssc.cli.config_arguments import add_config_arguments, given
from keras_ssc.training.config import DATASETS, TrainingConfig

_FIELDS = (
    *("model", "sparsity", "g", "p", "dataset", "data_dir", "image_size", "validation_split"),
    *("test_split", "epochs", "batch_size", "learning_rate", "momentum", "l2", "seed", "limit"),
    *("execution", "jit_compile", "bf16"),
)


def add_arguments(parser):
    """Add the arguments of the subcommand to an `argparse.ArgumentParser`."""
    add_config_arguments(parser, _FIELDS)
    add_folder_arguments(parser)
    parser.add_argument(
        "--tensorboard", action="store_true", help="write logs for TensorBoard into the folder"
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = f"models: {_lines(applications.__all__)}\nknown sets: {_lines(DATASETS)}"


def add_folder_arguments(parser):
    """Add --run-dir and --resume."""
    parser.add_argument("--run-dir", metavar="RUN_DIR", help="new folder for all that is learnt")
    parser.add_argument(
        "--resume",
        nargs="?",
        const=True,
        metavar="RUN_DIR",
        help="resume the run in this folder, with its settings; or in --run-dir",
    )


def chosen(arguments, **defaults):
    """Return (`TrainingConfig`, folder, whether to resume) of a command line.

    Args:
        arguments: namespace of the flags of `add_config_arguments` and `add_folder_arguments`.
        **defaults: fields of a new run that the program sets otherwise than `TrainingConfig`.

    Raises:
        ValueError, TypeError: a flag is out of range, or there is no folder.
        RunFolderError: the settings of the run can't be read.
    """
    from keras_ssc.training.run_folder import read_config

    resume, folder, fields = arguments.resume, arguments.run_dir, given(arguments)
    if isinstance(resume, str):
        if folder is not None and Path(folder) != Path(resume):
            raise ValueError(f"--resume {resume} and --run-dir {folder} must be the same folder")
        folder = resume
    if folder is None:
        raise ValueError("give --run-dir RUN_DIR for a new run, or --resume RUN_DIR")
    folder = Path(folder)
    if isinstance(resume, str) and not folder.is_dir():
        raise FileNotFoundError(f"there is no run to resume: no folder {str(folder)!r}")
    if resume and (folder / "settings.json").exists():
        return read_config(folder, **fields), folder, True
    return TrainingConfig(**defaults | fields), folder, bool(resume)


def run(arguments):
    """Train, and print the closing table."""
    from keras_ssc.training import closing_table, train
    from keras_ssc.training.sigterm import Terminated

    try:
        config, folder, resume = chosen(arguments)
    except (TypeError, ValueError) as error:
        print(f"train: error: {error}", file=sys.stderr)
        return 2
    callbacks = _tensorboard(folder) if arguments.tensorboard else []
    again = f"keras-ssc train --resume {folder}"
    try:
        results = train(config, folder, resume, callbacks)
    except KeyboardInterrupt as end:
        where = getattr(end, "where", "")
        print(f"\nInterrupted {where}. Resume with: {again}".replace(" .", "."), file=sys.stderr)
        return 130
    except Terminated as end:
        print(f"Ended by SIGTERM {end.where}. Resume with: {again}", flush=True)
        raise
    print(f"\n{closing_table(results)}\n\nEverything is in {folder}")
    return 0


def _tensorboard(folder):
    import keras

    try:
        import tensorboard  # noqa: F401
        import tensorflow  # noqa: F401
    except ImportError as error:
        raise ImportError("--tensorboard needs: pip install tensorflow tensorboard") from error
    return [keras.callbacks.TensorBoard(folder / "tensorboard", write_graph=False)]


def _lines(names, width=88):
    """Names, separated by commas, in lines."""
    lines = [""]
    for name in names:
        if len(lines[-1]) + len(name) > width:
            lines.append("  ")
        lines[-1] += f"{name}, "
    return "\n".join(lines).rstrip(", ")
