"""One process of a distributed training on digits; a program for test_distributed.py.

python tests/training/distributed_job.py '{"split": 4, "job": {"epochs": 20}, "out": "four.npz"}'
"""

import json
import os
import signal
import sys

import keras
import numpy as np

import keras_ssc
from keras_ssc.training.config import TrainingConfig
from keras_ssc.training.devices import split_cpu
from keras_ssc.training.distributed import LostProcess, train_distributed

SEEN = set()


@keras.saving.register_keras_serializable()
class ImagesPerDevice(keras.layers.Layer):
    """Hands its input on and notes how many images of a batch one device computes."""

    def call(self, inputs):
        if keras.backend.backend() == "jax":
            import jax

            def note(sharding):
                SEEN.add(sharding.shard_shape(inputs.shape)[0])

            jax.debug.inspect_array_sharding(inputs, callback=note)
        else:
            SEEN.add(inputs.shape[0])
        return inputs


def small_network(input_shape, classes, execution, norm):
    """Two sparse convolutions, with BatchNormalization or without."""
    x = inputs = keras.Input(input_shape)
    x = ImagesPerDevice()(x)
    x = keras.layers.Conv2D(16, 3, strides=4, activation="relu")(x)
    for strides in (1, 2):
        x = keras_ssc.SSCConv2D(
            32, 3, strides=strides, padding="same", g=8, p=3, execution=execution
        )(x)
        if norm:
            x = keras_ssc.layers.FusedBatchNormalization()(x)
        x = keras.layers.ReLU()(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(classes, activation="softmax")(x))


class Watch(keras.callbacks.Callback):
    """Keeps the trainable weights before and after the first epoch; dies in the epoch `die_in`."""

    def __init__(self, die_in):
        super().__init__()
        self.die_in, self.weights = die_in, []

    def on_epoch_begin(self, epoch, logs=None):
        if epoch in (0, 1):
            values = [keras.ops.convert_to_numpy(v).ravel() for v in self.model.trainable_variables]
            self.weights.append(np.concatenate(values))
        if epoch == self.die_in:
            os.kill(os.getpid(), signal.SIGKILL)


def main(split=1, job=(), norm=False, die_in=None, run_dir=None, out=None):
    """Train; leave losses, first gradient and last weights in `out`."""
    if split > 1:
        split_cpu(split)
    job = TrainingConfig(
        **{"limit": 64, "batch_size": 64, "epochs": 20, "learning_rate": 0.05} | dict(job)
    )
    watch = Watch(die_in)
    try:
        model, rows = train_distributed(
            job,
            run_dir,
            lambda shape, classes: small_network(shape, classes, job.execution, norm),
            [watch],
            resume=True,
        )
    except LostProcess as error:
        print(error, file=sys.stderr, flush=True)
        os._exit(1)
    if out is not None and job.process == 0:
        gradient = [0.0]
        if len(watch.weights) == 2:
            # The first step, without its L2 term.
            before, after = watch.weights
            gradient = (before - after) / job.learning_rate - job.l2 * before
        values = {name: [row[name] for row in rows] for name in rows[0]}
        weights = np.concatenate([weight.ravel() for weight in model.get_weights()])
        values["images_per_device"] = min(size for size in SEEN if size)
        np.savez(out, gradient=gradient, weights=weights, **values)


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
