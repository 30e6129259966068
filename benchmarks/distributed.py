"""Images per second by the number of logical devices of one CPU, in a training of ResNet20.

python benchmarks/distributed.py --devices 1 2 4
KERAS_BACKEND=jax python benchmarks/distributed.py

The devices share the cores, so this shows what dividing a batch costs, not what more hardware
brings. Every measurement is a process of its own; the rounds are interleaved.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
STEPS, BATCH = 10, 128


def measure(devices, sparsity):
    """Print the seconds of each update of one training, the first three left out."""
    import keras

    from keras_ssc.training.config import TrainingConfig
    from keras_ssc.training.devices import split_cpu
    from keras_ssc.training.distributed import train_distributed

    class Clock(keras.callbacks.Callback):
        """When each update ended."""

        def __init__(self):
            super().__init__()
            self.ended = []

        def on_train_batch_end(self, batch, logs=None):
            self.ended.append(time.perf_counter())

    if devices > 1:
        split_cpu(devices)
    clock = Clock()
    job = TrainingConfig(
        model="ResNet20",
        learning_rate=0.02,
        sparsity=sparsity,
        limit=STEPS * BATCH,
        batch_size=BATCH,
        epochs=1,
    )
    with tempfile.TemporaryDirectory() as folder:
        train_distributed(job, folder, callbacks=[clock])
    seconds = [b - a for a, b in zip(clock.ended, clock.ended[1:], strict=False)]
    print(json.dumps(seconds[2:]))


def main():
    """Measure in turns; print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--devices", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sparsity", type=float, default=0.9)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        return measure(arguments.one, arguments.sparsity)
    seen = {devices: [] for devices in arguments.devices}
    for _ in range(arguments.rounds):
        for devices, seconds in seen.items():
            command = [sys.executable, __file__, "--one", str(devices)]
            command += ["--sparsity", str(arguments.sparsity)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            seconds += json.loads(done.stdout.splitlines()[-1])
    print("devices  images/s (median)  quartiles     of the first")
    first = None
    for devices, seconds in seen.items():
        low, middle, high = (BATCH / each for each in reversed(statistics.quantiles(seconds)))
        first = first or middle
        print(f"{devices:7}  {middle:17.0f}  {low:.0f} ... {high:.0f}  {middle / first:12.2f}")


if __name__ == "__main__":
    main()
