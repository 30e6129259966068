"""One training on several devices and processes, from its config to a run folder."""

import tempfile
from contextlib import nullcontext
from pathlib import Path

import keras

from keras_ssc.atomic_write import remove_leftovers
from keras_ssc.training.data import load_data
from keras_ssc.training.devices import data_parallel, join, synchronized
from keras_ssc.training.lock import locked
from keras_ssc.training.optimizer import CoupledSGD
from keras_ssc.training.recipe import drop_at_half_and_three_quarters
from keras_ssc.training.run_folder import (
    RunFolderError,
    beside,
    check_config,
    open_folder,
    read_csv,
    write_config,
    write_csv,
)


class LostProcess(RuntimeError):
    """Another process of this training is gone; what was done since the last epoch is lost.

    Example:

    >>> raise LostProcess("a process of this training is gone")
    Traceback (most recent call last):
    keras_ssc.training.distributed.LostProcess: a process of this training is gone
    """


def train_distributed(config, run_dir=None, build=None, callbacks=(), resume=False):
    """Train on the devices of this machine, or of several processes, epoch by epoch.

    After each epoch process 0 writes last.keras and metrics.csv into the folder, which all
    processes must see. With `resume` training continues from there, also with another number of
    devices or processes; sets in memory then give the same curve, up to rounding.

    Args:
        config: `TrainingConfig`, the same in every process but for `process`.
        run_dir: folder; None: a dry run, two updates from the start and nothing written.
        build: function (input_shape, classes) -> Keras model, in place of `config.model`.
        callbacks: list of Keras callbacks.
        resume: bool, resume the run that is in the folder; start afresh where there is none.

    Returns:
        (model, list of dicts): the rows of metrics.csv.

    Raises:
        ValueError: the batch can't be divided, or a setting can't be used here.
        RunFolderError: last.keras can't be read, or the folder can't be used: it is not empty, and
            `resume` is False, or its run has other settings.
        FolderInUseError: another training works in the folder.
        LostProcess: another process died.

    Example:

        train_distributed(TrainingConfig(dataset="digits", devices=4), "runs/four")

    Reference: Goyal et al., "Accurate, Large Minibatch SGD".
    """
    if config.processes > 1:
        join(config.address, config.processes, config.process)
    strategy = data_parallel(config.devices)
    count = _device_count(strategy)
    if config.batch_size % (count * config.accumulate):
        raise ValueError(
            f"`batch_size` must be a multiple of {count} devices x {config.accumulate} pieces. "
            f"Received: batch_size={config.batch_size}"
        )
    keras.utils.set_random_seed(config.seed)
    data = load_data(config, sharded=True)
    folder = None if run_dir is None else Path(run_dir)
    mine = locked(folder) if folder is not None and config.process == 0 else nullcontext()
    try:
        with mine, strategy.scope():
            if folder is not None and config.process == 0:
                _open(folder, config, resume)
            model = _restored(folder) if resume else None
            if model is None:
                model = (build or config.build)(data.input_shape, len(data.class_names))
                model = synchronized(model) if count > 1 else model
                _compile(config, model, len(data.train))
            return model, _run(config, model, data.train, data.test, folder, callbacks)
    except Exception as error:
        if config.processes > 1 and _says_that_another_is_gone(error):
            raise LostProcess(
                "a process of this training is gone, so this one ends too. Start all of them "
                f"again, or fewer: they resume after the last complete epoch ({error})"
            ) from error
        raise


def _open(folder, config, resume):
    """Check the folder of process 0, and write settings.json into a new one."""
    remove_leftovers(folder)
    if not (resume and (folder / "last.keras").exists()):
        open_folder(folder, resume)
    if (folder / "settings.json").exists():
        check_config(folder, config)
    else:  # a new run, or one of a version that wrote none
        write_config(folder, config)


def _says_that_another_is_gone(error):
    """Whether an error comes from between the processes; JAX has no type of its own for these."""
    words = ("Gloo", "NCCL", "coordination service", "Connection reset", "Connection closed")
    return any(word in str(error) for word in words)


def _run(config, model, train, test, folder, callbacks):
    """All epochs that are left, or two updates."""
    if folder is None:
        steps = min(2 * config.accumulate, len(train))
        model.fit(train.epoch(0), steps_per_epoch=steps, shuffle=False, verbose=0)
        return []
    iterations = int(keras.ops.convert_to_numpy(model.optimizer.iterations))
    done = iterations * config.accumulate // len(train)
    rows = read_csv(folder / "metrics.csv")[:done]
    for epoch in range(done, config.epochs):
        fitted = model.fit(
            train.epoch(epoch),
            initial_epoch=epoch,
            epochs=epoch + 1,
            callbacks=list(callbacks),
            shuffle=False,
            verbose=0,
        )
        tested = model.evaluate(test.epoch(0), verbose=0, return_dict=True)
        row = {"epoch": epoch + 1}
        row |= {name: fitted.history[name][0] for name in ("accuracy", "loss")}
        # Keras's `loss` counts the images of weight 0 that fill up the last batch.
        rows.append(row | {"val_accuracy": tested["accuracy"], "val_loss": tested["mean_loss"]})
        _save(model, folder, config.process)
        if config.process == 0:
            write_csv(folder / "metrics.csv", rows)
            print(", ".join(f"{name} {value:.6g}" for name, value in rows[-1].items()), flush=True)
    return rows


def _save(model, folder, process):
    """Write last.keras. Saving makes variables, which on JAX all processes must do together."""
    if process == 0:
        with beside(folder / "last.keras") as temporary:
            model.save(temporary)
        return
    with tempfile.TemporaryDirectory() as place:
        model.save(Path(place) / "thrown_away.keras")


def _device_count(strategy):
    """How many devices share a batch."""
    if keras.backend.backend() == "jax":
        return len(strategy.device_mesh.devices.ravel())
    return strategy.num_replicas_in_sync


def _compile(config, model, steps):
    """Give a new network the recipe."""
    model.compile(
        CoupledSGD(
            # Keras counts the pieces of a batch, not the updates.
            drop_at_half_and_three_quarters(config.learning_rate, config.epochs * steps),
            momentum=config.momentum,
            l2=config.l2,
            gradient_accumulation_steps=config.accumulate if config.accumulate > 1 else None,
        ),
        "sparse_categorical_crossentropy",
        metrics=[],
        weighted_metrics=[
            "accuracy",
            keras.metrics.SparseCategoricalCrossentropy(name="mean_loss"),
        ],
    )
    return model


def _restored(folder):
    """The model and optimizer of last.keras, None where there is none."""
    path = None if folder is None else folder / "last.keras"
    if path is None or not path.exists():
        return None
    try:
        return keras.models.load_model(path)
    except Exception as error:
        raise RunFolderError(
            f"{str(path)!r} can't be read; it may be truncated or foreign ({error}). Choose "
            "another --run-dir."
        ) from error
