"""One run: a setting in, a record of everything that was seen out."""

import dataclasses
import time

import keras

from keras_ssc._summary import summary
from keras_ssc.arguments import known
from keras_ssc.correlation import layer_correlations
from keras_ssc.training.environment import environment
from keras_ssc.training.loop import resumed
from keras_ssc.training.sigterm import Termination
from paper.data import experiment_data, source_setting
from paper.fit import fit
from paper.methods import METHODS, SCORED


def run(setting, data_dir=None, progress=print, folder=None):
    """Train and test one network; return its record, a dict that JSON can hold.

    Args:
        setting: `Setting`.
        data_dir: as for `keras_ssc.datasets.load`.
        progress: function that takes a line after each epoch.
        folder: Path of a folder that is this run's alone, in which its last two checkpoints are
            kept; a run that was interrupted goes on from them. What a method does before (scores,
            lottery tickets' trainings) is done again. None: nothing is kept.

    Returns:
        dict: key, setting, environment, metrics (a dict for each epoch), live_weights,
        dense_weights, network_sparsity, kxk_sparsity, trainable_parameters, multiply_adds,
        correlation (by layer, of the trained network), rewirings, seconds.

    Raises:
        ValueError: an unknown method, variant or image set.
        FloatingPointError: the loss is not finite.
        RunFolderError: `folder` is in use, can't be written, or its checkpoints can't be read.
        Terminated: SIGTERM came; with a `folder` only, and the step is saved there.

    Example:

        record = run(Setting("ResNet20", "digits", "SNIP", sparsity=0.9, epochs=2))
    """
    known("method", setting.method, METHODS)
    if setting.mask_dataset and setting.method not in SCORED:
        raise ValueError(
            f"`mask_dataset` is for the methods {SCORED}. Received: method={setting.method!r}, "
            f"mask_dataset={setting.mask_dataset!r}"
        )
    started = time.monotonic()
    keras.utils.set_random_seed(setting.seed)
    data = experiment_data(setting, data_dir)
    sources = []
    if setting.mask_dataset:
        source = source_setting(setting)
        sources = [(source, experiment_data(source, data_dir))]
    model, callbacks, first = METHODS[setting.method](setting, data, *sources)
    epochs = _Epochs(setting, progress, started)
    changes = [*callbacks, epochs]
    if folder is None:
        fit(model, setting, data, changes, first)
    else:
        with Termination() as termination:

            def keep(model, steps):
                return resumed(
                    model,
                    folder,
                    setting.key,
                    steps,
                    setting.epochs,
                    termination,
                    changes,
                    progress,
                )

            fit(model, setting, data, changes, first, keep=keep)
    sizes = summary(model)
    return {
        "key": setting.key,
        "setting": dataclasses.asdict(setting),
        "environment": environment(),
        "metrics": epochs.metrics,
        "live_weights": sizes.live_weights,
        "dense_weights": sizes.dense_weights,
        "network_sparsity": sizes.network_sparsity,
        "kxk_sparsity": kxk_sparsity(sizes),
        "trainable_parameters": sizes.trainable_parameters,
        "multiply_adds": sizes.macs,
        "correlation": layer_correlations(model),
        "rewirings": [update for one in callbacks for update in one.history],
        "seconds_before_training": round(epochs.prepared, 1),
        "seconds": round(epochs.spent(), 1),
    }


def kxk_sparsity(sizes):
    """Return 1 - live / dense over the KxK kernels but the first: those that SSC replaces (R_p).

    Args:
        sizes: `ModelSummary`.
    """
    rows = [row for row in sizes.rows if len(row["kernel_shape"]) == 4]
    rows = [row for row in rows[1:] if max(row["kernel_shape"][:2]) > 1]
    return 1 - sum(row["live_weights"] for row in rows) / sum(row["dense_weights"] for row in rows)


class _Epochs(keras.callbacks.Callback):
    """Keeps the figures of each epoch and tells them; sums the time of all parts of a run."""

    def __init__(self, setting, progress, began):
        super().__init__()
        self.setting, self.progress, self.metrics = setting, progress, []
        self.began, self.prepared = began, time.monotonic() - began
        self.started, self.cut_off, self.resumed = None, 0.0, False

    def spent(self):
        """Return the seconds since the run began, without those between its parts."""
        return time.monotonic() - self.began

    def get_state(self):
        """Return the figures and the seconds."""
        open_epoch = 0.0 if self.started is None else time.monotonic() - self.started
        return {
            "metrics": self.metrics,
            "prepared": self.prepared,
            "spent": self.spent(),
            "cut_off": open_epoch,
        }

    def set_state(self, state):
        """Take up the state of `get_state`."""
        self.metrics, self.prepared = list(state["metrics"]), state["prepared"]
        self.cut_off = state["cut_off"]
        if not self.resumed:
            self.began, self.resumed = self.began - state["spent"], True

    def on_epoch_begin(self, epoch, logs=None):
        self.started, self.cut_off = time.monotonic() - self.cut_off, 0.0

    def on_epoch_end(self, epoch, logs=None):
        seconds = round(time.monotonic() - self.started, 2)
        figures = {name: round(float(value), 5) for name, value in logs.items()}
        if not all(abs(value) < float("inf") for value in figures.values()):
            raise FloatingPointError(f"{self.setting}: the loss is not finite in epoch {epoch + 1}")
        self.started = None
        self.metrics.append({"epoch": epoch + 1, **figures, "seconds": seconds})
        self.progress(
            f"{self.setting}  epoch {epoch + 1}/{self.setting.epochs}  loss {figures['loss']:.3f}"
            f"  test {figures['val_accuracy']:.4f}  {seconds:.1f} s"
        )
