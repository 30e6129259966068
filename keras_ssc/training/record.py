"""The callback that writes a run's files at the end of each epoch."""

import math
import time

import keras

from keras_ssc.training.run_folder import beside, read_csv, write_csv


class Record(keras.callbacks.Callback):
    """Write metrics.csv, correlation.csv, best.keras and, last of all, last.keras.

    `last.keras` holds weights, optimizer and so the number of steps done: it alone says where a
    run stands. A run that is killed before it is renamed repeats the epoch, with equal results.

    Args:
        folder: Path of the run.
        epochs_done: int, epochs that `last.keras` holds; later rows of the tables are dropped.

    Raises:
        FloatingPointError: the loss is not finite; nothing is written over good weights then.

    Example:

        model.fit(batches, callbacks=[FilterCorrelation(), Record(folder)])
    """

    def __init__(self, folder, epochs_done=0):
        super().__init__()
        self.folder = folder
        self.metrics, self.correlation = (
            [row for row in read_csv(folder / name) if row["epoch"] <= epochs_done]
            for name in ("metrics.csv", "correlation.csv")
        )

    def on_epoch_begin(self, epoch, logs=None):
        """Start the epoch's clock; note its learning rate."""
        self.learning_rate = float(self.model.optimizer.learning_rate)
        self.started = time.monotonic()

    def on_train_batch_end(self, batch, logs=None):
        """Stop at the first loss that is not finite."""
        if not math.isfinite(logs["loss"]):
            raise FloatingPointError(
                f"the loss became {logs['loss']} in step {batch + 1} of epoch "
                f"{len(self.metrics) + 1}; a smaller --learning-rate may help"
            )

    def on_epoch_end(self, epoch, logs=None):
        """Write the epoch."""
        row = {"epoch": epoch + 1, "learning_rate": self.learning_rate}
        row |= {name: logs[name] for name in ("loss", "accuracy", "val_loss", "val_accuracy")}
        row["seconds"] = round(time.monotonic() - self.started, 3)
        best = max((earlier["val_accuracy"] for earlier in self.metrics), default=-1.0)
        self.metrics.append(row)
        prefix = "correlation/"
        values = {key: logs[key] for key in logs if key.startswith(prefix)}
        self.correlation.append(
            {"epoch": epoch + 1} | {key.removeprefix(prefix): values[key] for key in values}
        )
        write_csv(self.folder / "metrics.csv", self.metrics)
        write_csv(self.folder / "correlation.csv", self.correlation)
        if row["val_accuracy"] > best:
            save(self.model, self.folder / "best.keras")
        save(self.model, self.folder / "last.keras")


def save(model, path):
    """Save a model beside `path`, then rename."""
    with beside(path) as temporary:
        model.save(temporary)
