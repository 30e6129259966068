"""One run: a setting in, a record of everything that was seen out."""

import statistics
import tempfile
import time

import keras
import numpy as np

from keras_ssc._summary import summary
from keras_ssc.arguments import known
from keras_ssc.correlation import layer_correlations
from keras_ssc.layers import InterspaceConv2D
from keras_ssc.model_graph import flat_layers
from keras_ssc.training.environment import environment
from keras_ssc.training.loop import resumed
from keras_ssc.training.sigterm import Termination
from paper.best_epoch import BestEpoch
from paper.data import experiment_data, source_setting, validation_data
from paper.fit import fit
from paper.inputs import test_batches, validation_batches
from paper.methods import METHODS, SCORED
from paper.networks import filter_norms


def run(setting, data_dir=None, progress=print, folder=None):
    """Train and test one network; return its record, a dict that JSON can hold.

    Each epoch is measured on training images that the run does not train on, where there are any;
    the test images are read at the end: by the last epoch's network, and by that of the epoch that
    did best on those. A setting with `held_out` is measured on these alone, after each epoch.

    Args:
        setting: `Setting`.
        data_dir: as for `keras_ssc.datasets.load`.
        progress: function that takes a line after each epoch.
        folder: Path of a folder that is this run's alone, in which its last two checkpoints are
            kept; a run that was interrupted resumes from them. What a method does before (scores,
            lottery tickets' trainings) is done again. None: nothing is kept.

    Returns:
        dict: key, setting, environment, metrics (a dict for each epoch), live_weights,
        basis_weights (of Interspace, beside the live ones), dense_weights, network_sparsity,
        kxk_sparsity, trainable_parameters, multiply_adds,
        filter_norm (mean squared norm of the filters of the KxK kernels but the first, before the
        training), correlation (by layer, of the trained network), rewirings, seconds; and but for
        `held_out` test: {"last": {accuracy, ...}}, with validation images also "best", "best_epoch"
        and "validation_images".

    Raises:
        ValueError: an unknown method, variant or image set.
        FloatingPointError: the loss is not finite.
        RunFolderError: `folder` is in use, can't be written, or its checkpoints can't be read.
        Terminated: SIGTERM came; with a `folder` only, and the step is saved there.

    Example:

        record = run(Setting("ResNet20", "digits", "SNIP", sparsity=0.9, epochs=2))
    """
    started = time.monotonic()
    data, (model, callbacks, first) = begin(setting, data_dir)
    norm = kxk_norm(model)
    epochs = Epochs(setting, progress, started)
    if folder is None:
        with tempfile.TemporaryDirectory() as scratch:
            watched, best = measured_on(setting, data, data_dir, scratch)
            fit(model, setting, data, [*callbacks, *best, epochs], first, validation=watched)
            return record_of(setting, data, model, callbacks, epochs, norm, best)
    else:
        watched, best = measured_on(setting, data, data_dir, folder)
        changes = [*callbacks, *best, epochs]
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
                    lambda line: progress(f"{setting}: {line}"),
                )

            fit(model, setting, data, changes, first, keep=keep, validation=watched)
    return record_of(setting, data, model, callbacks, epochs, norm, best)


def begin(setting, data_dir):
    """Return (data, `Start`) of a setting, drawn from its seed; refuse one that can't be."""
    known("method", setting.method, METHODS)
    if setting.mask_dataset and setting.method not in SCORED:
        raise ValueError(
            f"`mask_dataset` is for the methods {SCORED}. Received: method={setting.method!r}, "
            f"mask_dataset={setting.mask_dataset!r}"
        )
    keras.utils.set_random_seed(setting.seed)
    data = experiment_data(setting, data_dir)
    sources = []
    if setting.mask_dataset:
        source = source_setting(setting)
        sources = [(source, experiment_data(source, data_dir))]
    return data, METHODS[setting.method](setting, data, *sources)


def measured_on(setting, data, data_dir, folder):
    """(batches on which each epoch is measured or None, [`BestEpoch`] or [])."""
    if setting.held_out:
        return test_batches(setting, data), []
    images = validation_data(setting, data_dir)
    if images is None:
        return None, []
    return validation_batches(data, images), [BestEpoch(folder)]


def record_of(setting, data, model, callbacks, epochs, norm, best):
    """The record of a trained model, which then has the weights of the best epoch."""
    sizes = summary(model)
    record = {
        "key": setting.key,
        "setting": setting.as_dict(),
        "environment": environment(),
        "metrics": epochs.metrics,
        "live_weights": sizes.live_weights,
        "dense_weights": sizes.dense_weights,
        "network_sparsity": sizes.network_sparsity,
        "kxk_sparsity": kxk_sparsity(sizes),
        "trainable_parameters": sizes.trainable_parameters,
        "multiply_adds": sizes.macs,
        "filter_norm": norm,
        "basis_weights": sum(
            int(np.prod(layer.basis.shape))
            for layer in flat_layers(model)
            if isinstance(layer, InterspaceConv2D)
        ),
        "correlation": layer_correlations(model),
        "rewirings": [update for one in callbacks for update in one.history],
        "seconds_before_training": round(epochs.prepared, 1),
    }
    if not setting.held_out:
        record["test"] = _tested(setting, data, model, best)
    return record | {"seconds": round(epochs.spent(), 1)}


def _tested(setting, data, model, best):
    """What the test images say of the last epoch and of the best one."""

    def measure():
        found = model.evaluate(test_batches(setting, data), verbose=0, return_dict=True)
        return {name: round(float(value), 5) for name, value in found.items()}

    tested = {"last": measure()}
    for one in best:
        one.restore(model)
        tested |= {"best": measure(), "best_epoch": one.epoch}
    return tested


def kxk_norm(model):
    """Return the mean squared norm of the filters of the KxK kernels but the first (see R_p)."""
    norms = filter_norms(model)
    found = [norms[row["name"]] for row in _kxk_rows(summary(model)) if row["name"] in norms]
    return round(statistics.mean(found), 6) if found else None  # None: depthwise ones alone


def kxk_sparsity(sizes):
    """Return 1 - live / dense over the KxK kernels but the first: those that SSC replaces (R_p).

    Args:
        sizes: `ModelSummary`.
    """
    rows = _kxk_rows(sizes)
    return 1 - sum(row["live_weights"] for row in rows) / sum(row["dense_weights"] for row in rows)


def _kxk_rows(sizes):
    rows = [row for row in sizes.rows if len(row["kernel_shape"]) == 4]
    return [row for row in rows[1:] if max(row["kernel_shape"][:2]) > 1]


class Epochs(keras.callbacks.Callback):
    """Keeps the figures of each epoch and prints them; sums the time of all parts of a run."""

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
            f"{self._accuracy(figures)}  {seconds:.1f} s"
        )

    def _accuracy(self, figures):
        if "val_accuracy" not in figures:
            return ""
        images = "held out" if self.setting.held_out else "validation"
        return f"  {images} {figures['val_accuracy']:.4f}"
