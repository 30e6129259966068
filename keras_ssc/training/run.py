"""One training from its config to a run folder."""

from pathlib import Path

import keras

from keras_ssc._summary import summary
from keras_ssc.callbacks import FilterCorrelation
from keras_ssc.training.checkpoint import BEFORE, LAST
from keras_ssc.training.data import load_data
from keras_ssc.training.epoch_log import EpochLog
from keras_ssc.training.lock import locked
from keras_ssc.training.loop import fit_resumably
from keras_ssc.training.optimizer import CoupledSGD
from keras_ssc.training.progress import Progress
from keras_ssc.training.recipe import drop_at_half_and_three_quarters
from keras_ssc.training.results import finish
from keras_ssc.training.run_folder import (
    accept_moved,
    beside,
    check_config,
    open_folder,
    write_config,
)
from keras_ssc.training.sigterm import Termination


def train(config, run_dir, resume=False, callbacks=()):
    """Train a network and leave everything that was learnt in a folder.

    The folder then holds settings.json, summary.txt, classes.txt, metrics.csv, correlation.csv,
    best.keras, last.keras and before.keras (the last two checkpoints), saved_model/, curves.png,
    correlation.png and results.json.

    Args:
        config: `TrainingConfig`.
        run_dir: the folder. It must be new or empty, unless `resume`.
        resume: bool. Resume from the last checkpoint of a run with the same settings, which ends
            as if it had never stopped; start afresh where there is none; return at once where it
            is finished. A folder of images may have moved: its classes and their number of images
            must be the same.
        callbacks: list of `keras.callbacks.Callback`, such as `TensorBoard`.

    Returns:
        The dict of results.json.

    Raises:
        RunFolderError: the folder is taken, in use by another process, can't be written, or holds
            another run; or no checkpoint can be read.
        Terminated: SIGTERM came. The step was finished and saved; exit code 143.
        Interrupted: Ctrl-C came. The step was finished and saved; a KeyboardInterrupt.
        FloatingPointError: the loss is not finite.
        ValueError: a setting or the data can't be used.

    Example:

        train(TrainingConfig(dataset="digits"), "runs/digits")

    Reference: GraSP's recipe (paper, section 4).
    """
    folder = Path(run_dir)
    with locked(folder), Termination() as termination:
        finished = open_folder(folder, resume)
        begun = finished is not None or any((folder / name).exists() for name in (LAST, BEFORE))
        moved = begun and check_config(folder, config, may_move=True)
        if finished is not None and not moved:
            return _say_finished(folder, finished)
        keras.utils.set_random_seed(config.seed)
        data = load_data(config)
        if moved:
            accept_moved(folder, config, data.class_names, data.images)
        if finished is not None:
            return _say_finished(folder, finished)
        model = _compiled(config, data)
        if not begun:
            _write_beginning(folder, config, data, model)
        log, bar = EpochLog(folder), Progress(config.epochs, len(data.train))
        try:
            fit_resumably(
                model,
                data.train,
                config.epochs,
                [FilterCorrelation(), *callbacks, log, bar],
                folder,
                config.run_name(),
                termination,
                stateful=[log],
                validation_data=data.test,
            )
        finally:
            bar.stop()
        return finish(folder, config, data, model, log)


def _say_finished(folder, results):
    print(f"The run in {folder} is finished.")
    return results


def _write_beginning(folder, config, data, model):
    """Write what is known before the first step."""
    write_config(folder, config, data.images)
    with beside(folder / "summary.txt") as temporary:
        temporary.write_text(f"{summary(model)}\n")
    with beside(folder / "classes.txt") as temporary:
        temporary.write_text("".join(f"{name}\n" for name in data.class_names), encoding="utf-8")


def _compiled(config, data):
    """The network, compiled with the recipe."""
    model = config.build(data.input_shape, len(data.class_names))
    steps = config.epochs * len(data.train)
    model.compile(
        CoupledSGD(
            drop_at_half_and_three_quarters(config.learning_rate, steps),
            momentum=config.momentum,
            l2=config.l2,
        ),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=config.jit_compile,
    )
    return model
