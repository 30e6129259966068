"""A training loop that resumes after an interruption, in mid-epoch too, with equal results."""

from contextlib import nullcontext

import keras
import numpy as np

from keras_ssc.training.checkpoint import load_checkpoint, save_checkpoint


class Checkpoints(keras.callbacks.Callback):
    """Save after each epoch, and after the step during which SIGTERM or Ctrl-C came.

    A checkpoint holds weights, optimizer, the epoch's running metrics and the state of callbacks.
    List it behind all callbacks that change the model.

    Args:
        folder: Path.
        run: str, the name of the run.
        steps: int, steps of an epoch.
        termination: `Termination`.
        stateful: callbacks with `get_state()`, a dict that JSON can hold, and `set_state(state)`.
        progress: dict of `load_checkpoint`; {}: a new training.

    Attributes:
        epoch, step: ints, finished epochs, and steps of the one that is open.

    Example:

        checkpoints = Checkpoints(folder, "digits", len(batches), termination)
        fit(model, batches, 10, [], checkpoints)
    """

    def __init__(self, folder, run, steps, termination, stateful=(), progress=None):
        super().__init__()
        self.folder, self.run, self.steps = folder, run, steps
        self.termination, self.stateful = termination, list(stateful)
        self.progress = progress or {}
        self.epoch, self.step = (self.progress.get(name, 0) for name in ("epoch", "step"))

    def __str__(self):
        """How far the training is, in words."""
        return f"step {self.step} of epoch {self.epoch + 1}" if self.step else f"epoch {self.epoch}"

    def on_train_begin(self, logs=None):
        """Restore the other callbacks' state; they have just reset it."""
        if self.progress:
            for callback, state in zip(self.stateful, self.progress["callbacks"], strict=True):
                callback.set_state(state)

    def on_epoch_begin(self, epoch, logs=None):
        """Restore the running metrics of an interrupted epoch."""
        self.cut_off = self.step
        if self.step:
            variables = self.model.metrics_variables
            for variable, value in zip(variables, self.progress["metrics"], strict=True):
                variable.assign(value)

    def on_train_batch_end(self, batch, logs=None):
        """Save and end, if that is asked for and the epoch is not complete."""
        self.step = self.cut_off + batch + 1
        if self.termination.asked and self.step < self.steps:
            self._save()
            raise self.termination.end(f"after {self}")

    def on_epoch_end(self, epoch, logs=None):
        """Save."""
        self.epoch, self.step = epoch + 1, 0
        self._save()
        if self.termination.asked:
            raise self.termination.end(f"after {self}")

    def _save(self):
        sums = []
        if self.step:
            variables = self.model.metrics_variables
            sums = [keras.ops.convert_to_numpy(variable).tolist() for variable in variables]
        self.progress = {
            "run": self.run,
            "epoch": self.epoch,
            "step": self.step,
            "metrics": sums,
            "callbacks": [callback.get_state() for callback in self.stateful],
        }
        save_checkpoint(self.model, self.folder, self.progress)


def resumed(model, folder, run, steps, epochs, termination, stateful=(), say=print, save_to=None):
    """Bring a compiled model to its newest checkpoint; return the `Checkpoints` that carry on.

    Args:
        model: a compiled `keras.Model`, freshly built.
        folder, run, steps, termination, stateful: as for `Checkpoints`.
        epochs: int, of the complete training.
        say: function that takes a line.
        save_to: Path of the folder for new checkpoints; None: `folder`.

    Raises:
        RunFolderError: there are checkpoints, and none can be used.
    """
    progress = load_checkpoint(model, folder, run, say)
    checkpoints = Checkpoints(save_to or folder, run, steps, termination, stateful, progress)
    if progress:
        say(f"Resuming after {checkpoints} of {epochs}.")
    return checkpoints


def fit_resumably(
    model,
    batches,
    epochs,
    callbacks,
    folder,
    run,
    termination,
    *,
    stateful=(),
    say=print,
    save_to=None,
    **options,
):
    """Train from the newest checkpoint in a folder, or from the beginning, and keep checkpoints.

    Args:
        model: a compiled `keras.Model`, freshly built.
        batches, epochs, callbacks, **options: as for `fit`.
        folder, run, termination, stateful, say, save_to: as for `resumed`.

    Raises:
        RunFolderError: there are checkpoints, and none can be used.
        Terminated, Interrupted: SIGTERM or Ctrl-C came; the step was finished and saved.

    Example:

        with Termination() as termination:
            fit_resumably(model, batches, 10, [], folder, "digits", termination)
    """
    checkpoints = resumed(
        model, folder, run, len(batches), epochs, termination, stateful, say, save_to
    )
    fit(model, batches, epochs, callbacks, checkpoints, **options)


def fit(model, batches, epochs, callbacks, checkpoints=None, first=0, **options):
    """Call `model.fit` from the checkpoint on; first for what is left of an interrupted epoch.

    Args:
        model: a compiled `keras.Model`.
        batches: `keras_ssc.datasets.Batches` or `Stream`; or a `tf.data.Dataset`, of which an
            interrupted epoch resumes with as many batches as were left, in another order.
        epochs: int, of the complete training.
        callbacks: list of callbacks; `checkpoints` comes last.
        checkpoints: `Checkpoints`, None: from the beginning, and nothing is saved.
        first: int, epochs to skip where there is no checkpoint.
        **options: further arguments of `Model.fit`.

    Raises:
        Terminated, Interrupted: SIGTERM or Ctrl-C came; the step was finished and saved.

    Example:

        fit(model, batches, 10, [], checkpoints, validation_data=test)
    """
    epoch, step = first, 0
    if checkpoints and checkpoints.progress:
        epoch, step = checkpoints.epoch, checkpoints.step
    ours = hasattr(batches, "from_step")
    parts = [(batches, epoch, epochs)]
    if step:
        rest = batches.from_step(step) if ours else batches.skip(step)
        parts = [(rest, epoch, epoch + 1), (batches, epoch + 1, epochs)]
        # Keras makes the variables of the metrics at their first use; `Checkpoints` fills them.
        model.test_on_batch(*(np.asarray(part) for part in next(iter(batches))))
    if "validation_data" in options:
        options = options | {"validation_data": fed(options["validation_data"])}
    with checkpoints.termination.waits() if checkpoints else nullcontext():
        for part, begin, end in parts:
            follow = [part.follow_epochs()] if ours else []
            model.fit(
                fed(part),
                initial_epoch=begin,
                epochs=end,
                callbacks=[*follow, *callbacks, *filter(None, [checkpoints])],
                shuffle=False,
                verbose=0,
                **options,
            )


def fed(batches):
    """Return batches in the form in which `fit` and `evaluate` take them fastest.

    Example:

        model.evaluate(fed(data.test))
    """
    if not hasattr(batches, "tf_dataset"):
        return batches
    indexed = isinstance(batches, keras.utils.PyDataset)
    return batches if indexed and keras.backend.backend() != "tensorflow" else batches.tf_dataset()
