"""The callback that writes a run's files at the end of each epoch."""

import math
import time

import keras

from keras_ssc.training.run_folder import beside, write_csv


class EpochLog(keras.callbacks.Callback):
    """Write metrics.csv, correlation.csv and best.keras.

    The rows are also part of the checkpoints: a training that goes back to one forgets the rows
    behind it, and makes equal ones.

    Args:
        folder: Path of the run.

    Raises:
        FloatingPointError: the loss is not finite; nothing is written over good weights then.

    Example:

        model.fit(batches, callbacks=[FilterCorrelation(), EpochLog(folder)])
    """

    def __init__(self, folder):
        super().__init__()
        self.folder = folder
        self.metrics, self.correlation = [], []
        self.cut_off = self.started = None

    def get_state(self):
        """Return the rows, and what belongs to an epoch that is not through."""
        state = {"metrics": self.metrics, "correlation": self.correlation, "cut_off": None}
        if self.started is not None:
            seconds = time.monotonic() - self.started
            state["cut_off"] = {"learning_rate": self.learning_rate, "seconds": seconds}
        return state

    def set_state(self, state):
        """Take up the state of `get_state`; the tables are written anew."""
        self.metrics, self.correlation = list(state["metrics"]), list(state["correlation"])
        self.cut_off = state["cut_off"]
        if self.metrics:
            self._write_tables()

    def on_epoch_begin(self, epoch, logs=None):
        """Start the epoch's clock; note its learning rate."""
        before = self.cut_off or {"seconds": 0.0}
        self.cut_off = None
        self.learning_rate = before.get("learning_rate", float(self.model.optimizer.learning_rate))
        self.started = time.monotonic() - before["seconds"]

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
        self.started = None
        self._write_tables()
        if row["val_accuracy"] > best:
            with beside(self.folder / "best.keras") as temporary:
                self.model.save(temporary)

    def _write_tables(self):
        write_csv(self.folder / "metrics.csv", self.metrics)
        write_csv(self.folder / "correlation.csv", self.correlation)
