"""The epoch that did best on validation images, and its weights."""

from pathlib import Path

import keras


class BestEpoch(keras.callbacks.Callback):
    """Keeps the weights of the epoch with the best accuracy on validation images.

    Of equal epochs the first. The test images have no part in the choice.

    Args:
        folder: Path, in which the weights are kept until the run is done.

    Attributes:
        epoch: int from 1, or None before the first.
        accuracy: float, on the validation images.

    Example:

        best = BestEpoch(folder)
        model.fit(x, y, validation_data=(x_val, y_val), callbacks=[best])
        best.restore(model)
    """

    def __init__(self, folder):
        super().__init__()
        self.path = Path(folder) / "best.weights.h5"
        self.epoch, self.accuracy = None, -1.0

    def on_epoch_end(self, epoch, logs=None):
        """Save the weights of an epoch that is better than all before."""
        if logs["val_accuracy"] > self.accuracy:
            self.model.save_weights(self.path, overwrite=True)
            self.epoch, self.accuracy = epoch + 1, float(logs["val_accuracy"])

    def restore(self, model):
        """Give a model the weights of the best epoch."""
        model.load_weights(self.path)

    def get_state(self):
        """Return what a resumed run needs beside the file of the weights."""
        return {"epoch": self.epoch, "accuracy": self.accuracy}

    def set_state(self, state):
        """Take up the state of `get_state`."""
        self.epoch, self.accuracy = state["epoch"], state["accuracy"]
