"""How far a training is, how well it does, and how long it still takes."""

import sys
import time

import keras

_FIGURES = ("loss", "accuracy", "val_loss", "val_accuracy")
_REFRESH = 0.2  # seconds between changes of the live figures


class Progress(keras.callbacks.Callback):
    """On a terminal a bar for the run, with live figures and the time left; else a line an epoch.

    Args:
        epochs: int, epochs of the complete run.
        steps: int, steps an epoch.

    Example:

        model.fit(x, y, verbose=0, callbacks=[Progress(epochs=10, steps=100)])
    """

    def __init__(self, epochs, steps):
        super().__init__()
        self.epochs, self.steps = epochs, steps
        self.started = self.bar = self.done = None
        self.shown = 0.0

    def on_epoch_begin(self, epoch, logs=None):
        """At the first one start the clock, and the bar on a terminal."""
        if self.started is None:
            self.started, self.done = time.monotonic(), epoch
            if sys.stdout.isatty():
                self._open_bar()

    def _open_bar(self):
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:.0f} %"),
            TimeRemainingColumn(),
            TextColumn("left  {task.fields[figures]}"),
        )
        total = (self.epochs - self.done) * self.steps
        description = f"epoch {self.done + 1}/{self.epochs}"
        self.task = self.bar.add_task(description, total=total, figures="")
        self.bar.start()

    def on_train_batch_end(self, batch, logs=None):
        """Move the bar, and show the running figures of the epoch."""
        if self.bar is None:
            return
        self.bar.advance(self.task)
        now = time.monotonic()
        if now - self.shown >= _REFRESH:
            self.shown = now
            self.bar.update(self.task, figures=_figures(logs or {}))

    def on_epoch_end(self, epoch, logs=None):
        """Print the epoch's figures and the time left."""
        spent = time.monotonic() - self.started
        left = spent / (epoch + 1 - self.done) * (self.epochs - epoch - 1)
        line = f"epoch {epoch + 1}/{self.epochs}  {_figures(logs)}  {left / 60:.1f} min left"
        if self.bar:
            self.bar.update(
                self.task, description=f"epoch {min(epoch + 2, self.epochs)}/{self.epochs}"
            )
            self.bar.console.print(line, highlight=False)
        else:
            print(line, flush=True)

    def stop(self):
        """Remove the bar, also after an interruption."""
        if self.bar:
            self.bar.stop()


def _figures(logs):
    return "  ".join(f"{name} {logs[name]:.4f}" for name in _FIGURES if name in logs)
