"""How far a training is, and how long it still takes."""

import sys
import time

import keras


class Progress(keras.callbacks.Callback):
    """On a terminal a bar for the whole run with the time left; elsewhere a line an epoch.

    Args:
        epochs: int, epochs of the whole run.
        steps: int, steps an epoch.
        done: int, epochs done before.

    Example:

        model.fit(x, y, verbose=0, callbacks=[Progress(epochs=10, steps=100)])
    """

    def __init__(self, epochs, steps, done=0):
        super().__init__()
        self.epochs, self.steps, self.done = epochs, steps, done
        self.started = self.bar = None

    def on_train_begin(self, logs=None):
        """Start the clock, and the bar on a terminal."""
        if self.started is not None:  # `fit` is called again after an epoch that was cut off
            return
        self.started = time.monotonic()
        if sys.stdout.isatty():
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

            self.bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.percentage:.0f} %"),
                TimeRemainingColumn(),
                TextColumn("left"),
            )
            total = (self.epochs - self.done) * self.steps
            self.task = self.bar.add_task(f"epoch {self.done + 1}/{self.epochs}", total=total)
            self.bar.start()

    def on_train_batch_end(self, batch, logs=None):
        """Move the bar."""
        if self.bar:
            self.bar.advance(self.task)

    def on_epoch_end(self, epoch, logs=None):
        """Print the epoch's figures and the time left."""
        spent = time.monotonic() - self.started
        left = spent / (epoch + 1 - self.done) * (self.epochs - epoch - 1)
        figures = "  ".join(
            f"{name} {logs[name]:.4f}"
            for name in ("loss", "accuracy", "val_loss", "val_accuracy")
            if name in logs
        )
        line = f"epoch {epoch + 1}/{self.epochs}  {figures}  {left / 60:.1f} min left"
        if self.bar:
            self.bar.update(
                self.task, description=f"epoch {min(epoch + 2, self.epochs)}/{self.epochs}"
            )
            self.bar.console.print(line, highlight=False)
        else:
            print(line, flush=True)

    def stop(self):
        """Take the bar away, also after an interruption."""
        if self.bar:
            self.bar.stop()
