"""One run by the loop of `gpu_loop`: a setting in, the record of `run` and the weights out."""

import functools
import time

from keras_ssc.training.environment import environment
from keras_ssc.training.run_folder import beside
from keras_ssc.training.sigterm import Termination
from paper.counterpart import as_masks, check_equal, unmask
from paper.fit import LOSS
from paper.gpu_checkpoint import load, save
from paper.gpu_loop import MaskedNetwork, Training, on_host
from paper.inputs import test_batches
from paper.run import Epochs, begin, kxk_norm, measured_on, record_of

# Epochs between two checkpoints, and between two looks at images that choose an epoch; in the last
# ten each is looked at.
SAVE_EVERY, LOOK_EVERY = 20, 10
# Test images on which the network is compared with its counterpart with masks.
COMPARED = 32


def run_on_gpu(
    setting, data_dir=None, progress=print, folder=None, precision="bfloat16", weights=None
):
    """Train and test a network with fixed masks; return its record, as `run` does.

    SSC is trained as the dense network under its pattern's mask, which is the same function; then
    its matrices get the weights, and the outputs of both are compared. Which epoch is best is asked
    of every tenth one, and of each of the last ten. The test images are read once, at the end, by
    the network itself in float32, on the CPU. After `train_on_gpu` on another machine only that is
    left to do.

    Args:
        setting, data_dir, progress, folder: as for `run`; `folder` is needed.
        precision: `"bfloat16"` or `"float32"`, in which convolutions compute while training.
        weights: Path of a file for the weights after the last epoch, or None.

    Raises:
        ValueError: the setting's method has no fixed masks, or its network a sparse classifier.
        FloatingPointError: the loss is not finite, or the outputs differ.
        Terminated: SIGTERM came; the epoch is finished and saved.

    Example:

        record = run_on_gpu(setting, "images", folder=Path("runs/.unfinished/0123"))
    """
    one = Run(setting, data_dir, progress, folder, precision)
    trained_in = one.train()
    with on_host():
        return one.tested(weights) | {
            "environment": trained_in,
            "tested_in": environment(),
            "loop": f"paper/gpu_loop.py, {precision}",
        }


def train_on_gpu(setting, data_dir=None, progress=print, folder=None, precision="bfloat16"):
    """Train as `run_on_gpu`, up to the checkpoint of the last epoch; that tests and records it.

    Where minutes on a GPU count: what is left is work for a CPU.
    """
    Run(setting, data_dir, progress, folder, precision).train()


class Run:
    """One run, begun or resumed: its model, the same network under masks, and the training.

    Args: as for `run_on_gpu`.
    """

    def __init__(self, setting, data_dir, progress, folder, precision):
        began = time.monotonic()
        self.setting, self.folder = setting, folder
        with on_host():
            self.data, start = begin(setting, data_dir)
            check_fixed(setting, start, self.data)
            self.model = start.model
            self.epochs = Epochs(setting, progress, began)
            self.model.compile(loss=LOSS, metrics=["accuracy"])
            self.norm = kxk_norm(self.model)
            self.masked = as_masks(self.model, setting, self.data.classes)
            self.watched, self.best = measured_on(setting, self.data, data_dir, folder)
            network = masked_network(
                setting.network, setting.image_size, self.data.classes, precision
            )
        self.training = Training(network, setting, self.data, self.masked)

    def train(self):
        """Train up to the last epoch; return the `environment` that did so."""
        setting, stateful = self.setting, [self.epochs, *self.best]
        done, trained_in = load(self.training, self.folder, setting, stateful)
        if done == setting.epochs:
            return trained_in
        with Termination() as termination, termination.waits():
            for epoch in range(done, setting.epochs):
                self._epoch(epoch)
                last = epoch + 1 == setting.epochs
                if termination.asked or last or (epoch + 1) % SAVE_EVERY == 0:
                    save(self.training, self.folder, setting, epoch + 1, stateful)
                if termination.asked:
                    raise termination.end(f"after epoch {epoch + 1}")
        return environment()

    def _epoch(self, epoch):
        self.epochs.on_epoch_begin(epoch)
        loss, accuracy = self.training.epoch(epoch)
        logs = {"loss": loss, "accuracy": accuracy}
        if self.watched and looked_at(epoch, self.setting.epochs):
            loss, accuracy = self.training.test(self.watched)
            logs |= {"val_loss": loss, "val_accuracy": accuracy}
            for one in self.best:
                with on_host():
                    self._put()
                    one.set_model(self.model)
                    one.on_epoch_end(epoch, logs)
        self.epochs.on_epoch_end(epoch, logs)

    def _put(self):
        """Give the model the weights of now."""
        self.training.put(self.masked)
        unmask(self.masked, self.model)

    def tested(self, weights):
        """The record of the trained network, whose weights are written to a file."""
        self._put()
        images = test_batches(self.setting, self.data)[0][0]
        check_equal(self.masked, self.model, images[:COMPARED])
        if weights is not None:
            with beside(weights) as temporary:
                self.model.save_weights(temporary)
        return record_of(self.setting, self.data, self.model, (), self.epochs, self.norm, self.best)


@functools.cache
def masked_network(network, image_size, classes, precision):
    """One `MaskedNetwork` for all runs of a process, so that it is compiled once."""
    return MaskedNetwork(network, image_size, classes, precision)


def looked_at(epoch, epochs):
    """Return whether the epoch, counted from 0, is a tenth one or of the last ten.

    Example:

    >>> [epoch for epoch in range(32) if looked_at(epoch, 32)]
    [9, 19, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31]
    """
    return (epoch + 1) % LOOK_EVERY == 0 or epoch >= epochs - LOOK_EVERY


def check_fixed(setting, start, data):
    """Refuse what the loop can't train: masks that change, penalties, other metrics."""
    fixed = not start.callbacks and not start.epoch and not setting.regularizer
    basis = any(weight.name == "basis" for weight in start.model.weights)
    if not fixed or basis or data.classes >= 200:
        raise ValueError(
            "`setting` must be of a method with fixed masks, without regularizer, on less than 200 "
            f"classes. Received: {setting}"
        )
