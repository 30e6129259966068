"""One training from settings to a run folder."""

import dataclasses
import json
from pathlib import Path

import keras

from keras_ssc import applications, datasets
from keras_ssc.atomic_write import remove_leftovers
from keras_ssc.callbacks import FilterCorrelation
from keras_ssc.summary import summary
from keras_ssc.training.checkpoint import BEFORE, LAST, load_checkpoint
from keras_ssc.training.epoch_log import EpochLog
from keras_ssc.training.lock import locked
from keras_ssc.training.loop import Checkpoints, fit
from keras_ssc.training.optimizer import CoupledSGD
from keras_ssc.training.progress import Progress
from keras_ssc.training.recipe import drop_at_half_and_three_quarters
from keras_ssc.training.results import finish
from keras_ssc.training.run_folder import (
    beside,
    check_settings,
    open_folder,
    write_settings,
)
from keras_ssc.training.sigterm import Termination


def train(settings, run_dir, resume=False):
    """Train a network and leave everything that was learnt in a folder.

    The folder then holds settings.json, summary.txt, metrics.csv, correlation.csv, best.keras,
    last.keras and before.keras (the last two checkpoints), saved_model/, curves.png,
    correlation.png and results.json.

    Args:
        settings: `Settings`.
        run_dir: the folder. It must be new or empty, unless `resume`.
        resume: bool. Go on from the last checkpoint of a run with the same settings, which ends
            as if it had never stopped; start afresh where there is none; return at once where it
            is finished.

    Returns:
        The dict of results.json.

    Raises:
        RunFolderError: the folder is taken, in use by another process, can't be written, or holds
            another run; or no checkpoint can be read.
        Terminated: SIGTERM came. The step was finished and saved; exit code 143.
        FloatingPointError: the loss is not finite.
        ValueError: a setting or the data can't be used.

    Example:

        train(Settings(dataset="digits"), "runs/digits")

    Reference: GraSP's recipe (paper, section 4).
    """
    folder = Path(run_dir)
    with locked(folder), Termination() as termination:
        finished = open_folder(folder, resume)
        if finished is not None:
            check_settings(folder, settings)
            print(f"The run in {folder} is finished.")
            return finished
        remove_leftovers(folder)
        keras.utils.set_random_seed(settings.seed)
        data = _load(settings)
        batches, test = _batches(settings, data)
        begun = any((folder / name).exists() for name in (LAST, BEFORE))
        if begun:
            check_settings(folder, settings)
        model = _new_model(settings, data, len(batches))
        progress = load_checkpoint(model, folder, _name(settings)) if begun else {}
        if not begun:
            write_settings(folder, settings)
            with beside(folder / "summary.txt") as temporary:
                temporary.write_text(f"{summary(model)}\n")
        record = EpochLog(folder)
        checkpoints = Checkpoints(
            folder, _name(settings), len(batches), termination, [record], progress
        )
        if begun:
            print(f"Going on after {checkpoints} of {settings.epochs}.")
        bar = Progress(settings.epochs, len(batches), checkpoints.epoch)
        try:
            callbacks = [FilterCorrelation(), record, bar]
            fit(model, batches, settings.epochs, callbacks, checkpoints, validation_data=test)
        finally:
            bar.stop()
        return finish(folder, settings, model, record)


def _name(settings):
    """What the checkpoints of these settings are called; where the images lie is no part of it."""
    return json.dumps({**dataclasses.asdict(settings), "data_dir": None}, sort_keys=True)


def _load(settings):
    data = datasets.load(settings.dataset, settings.data_dir)
    if settings.limit is None:
        return data
    cut = slice(settings.limit)
    parts = ("x_train", "y_train", "x_test", "y_test")
    return dataclasses.replace(data, **{part: getattr(data, part)[cut] for part in parts})


def _batches(settings, data):
    """Training and test batches."""
    common = {"mean": data.mean, "std": data.std, "classes": data.classes}
    train = datasets.Batches(
        data.x_train,
        data.y_train,
        settings.batch_size,
        augment=True,
        flip=data.flip,
        shuffle=True,
        seed=settings.seed,
        **common,
    )
    return train, datasets.Batches(data.x_test, data.y_test, 256, **common)


def _new_model(settings, data, steps):
    """The network, compiled with the recipe."""
    build = getattr(applications, settings.model)
    model = build(
        input_shape=data.x_train.shape[1:],
        classes=data.classes,
        sparsity=settings.sparsity,
        g=settings.g,
        p=settings.p,
        execution=settings.execution,
    )
    schedule = drop_at_half_and_three_quarters(settings.learning_rate, settings.epochs * steps)
    model.compile(
        CoupledSGD(schedule, momentum=settings.momentum, l2=settings.l2),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=settings.jit_compile,
    )
    return model
