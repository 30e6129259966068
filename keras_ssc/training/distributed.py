"""One training on several devices and processes, from its config to a run folder."""

import tempfile
from contextlib import ExitStack
from pathlib import Path

import keras

from keras_ssc.training.checkpoint import BEFORE, LAST
from keras_ssc.training.data import load_data
from keras_ssc.training.devices import data_parallel, join, synchronized
from keras_ssc.training.lock import locked
from keras_ssc.training.loop import fit_resumably
from keras_ssc.training.optimizer import CoupledSGD
from keras_ssc.training.recipe import drop_at_half_and_three_quarters
from keras_ssc.training.run_folder import check_config, open_folder, write_config, write_csv
from keras_ssc.training.sigterm import Termination


class LostProcess(RuntimeError):
    """Another process of this training is gone; what was done since the last epoch is lost.

    Example:

    >>> raise LostProcess("a process of this training is gone")
    Traceback (most recent call last):
    keras_ssc.training.distributed.LostProcess: a process of this training is gone
    """


def train_distributed(config, run_dir=None, build=None, callbacks=(), resume=False):
    """Train on the devices of this machine, or of several processes.

    After each epoch process 0 writes last.keras, before.keras (the last two checkpoints) and
    metrics.csv into the folder, which all processes must see; a single process does so after
    SIGTERM and Ctrl-C, too. With `resume` training continues from there, also with another number
    of devices or processes; sets in memory then give the same curve, up to rounding.

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
        RunFolderError: no checkpoint can be read, or the folder can't be used: it is not empty,
            and `resume` is False, or its run has other settings.
        FolderInUseError: another training works in the folder.
        Terminated, Interrupted: SIGTERM or Ctrl-C came to a single process. The step was finished
            and saved.
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
    try:
        with ExitStack() as stack:
            if folder is not None and config.process == 0:
                stack.enter_context(locked(folder))
                _open(folder, config, resume)
            termination = Termination()
            if config.processes == 1:  # several would end in different steps, and wait for ever
                stack.enter_context(termination)
            stack.enter_context(strategy.scope())
            model = (build or config.build)(data.input_shape, len(data.class_names))
            model = synchronized(model) if count > 1 else model
            _compile(config, model, len(data.train))
            if folder is None:
                return model, _two_updates(config, model, data.train)
            return model, _run(config, model, data, folder, callbacks, termination)
    except Exception as error:
        if config.processes > 1 and _says_that_another_is_gone(error):
            raise LostProcess(
                "a process of this training is gone, so this one ends too. Start all of them "
                f"again, or fewer: they resume after the last complete epoch ({error})"
            ) from error
        raise


def _open(folder, config, resume):
    """Check the folder of process 0, and write settings.json into a new one."""
    open_folder(folder, resume)
    if any((folder / name).exists() for name in (LAST, BEFORE)):
        check_config(folder, config)
    else:
        write_config(folder, config)


def _says_that_another_is_gone(error):
    """Whether an error comes from between the processes; JAX has no type of its own for these."""
    words = ("Gloo", "NCCL", "coordination service", "Connection reset", "Connection closed")
    return any(word in str(error) for word in words)


def _two_updates(config, model, train):
    """The dry run; no rows."""
    steps = min(2 * config.accumulate, len(train))
    model.fit(train.epoch(0), steps_per_epoch=steps, shuffle=False, verbose=0)
    return []


def _run(config, model, data, folder, callbacks, termination):
    """All epochs that are left; return the rows of metrics.csv."""
    with ExitStack() as stack:
        own = folder
        if config.process:
            # Saving makes variables, which on JAX all processes must do together.
            own = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        rows = _Rows(own, config.process == 0)
        fit_resumably(
            model,
            data.train,
            config.epochs,
            [*callbacks, rows],
            folder,
            config.run_name(),
            termination,
            stateful=[rows],
            save_to=own,
            say=print if config.process == 0 else lambda line: None,
            validation_data=data.test,
        )
    return rows.rows


class _Rows(keras.callbacks.Callback):
    """Writes metrics.csv after each epoch; the rows are part of the checkpoints."""

    def __init__(self, folder, prints):
        super().__init__()
        self.folder, self.prints, self.rows = folder, prints, []

    def get_state(self):
        return {"rows": self.rows}

    def set_state(self, state):
        self.rows = list(state["rows"])
        if self.rows:
            write_csv(self.folder / "metrics.csv", self.rows)

    def on_epoch_end(self, epoch, logs=None):
        row = {"epoch": epoch + 1} | {name: logs[name] for name in ("accuracy", "loss")}
        # Keras's `loss` counts the images of weight 0 that fill up the last batch.
        row |= {"val_accuracy": logs["val_accuracy"], "val_loss": logs["val_mean_loss"]}
        self.rows.append(row)
        write_csv(self.folder / "metrics.csv", self.rows)
        if self.prints:
            print(", ".join(f"{name} {value:.6g}" for name, value in row.items()), flush=True)


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
