"""One training by the recipe of a setting."""

import keras

from keras_ssc.training import loop
from keras_ssc.training.optimizer import CoupledSGD
from keras_ssc.training.recipe import drop_at
from paper.inputs import drop_shares, training_batches
from paper.keras_velocity import KerasCoupledSGD

MOMENTUM = 0.9
OPTIMIZERS = {"pytorch": CoupledSGD, "keras": KerasCoupledSGD}
LOSS = "sparse_categorical_crossentropy"


def schedule(setting, steps):
    """Return the learning rate of a setting; `steps` are those of an epoch."""
    return drop_at(drop_shares(setting), setting.learning_rate, setting.epochs * steps)


def fit(model, setting, data, callbacks=(), first=0, last=None, keep=None, validation=None):
    """Train a model in place, from one epoch of the recipe to another.

    Args:
        model: `keras.Model`; it is compiled anew.
        setting: `Setting`.
        data: what `experiment_data` gave.
        callbacks: list of `keras.callbacks.Callback`.
        first: int, epochs of the recipe that are done; momentum starts anew.
        last: int, the epoch after which it stops; None: the setting's.
        validation: batches on which each epoch is measured; None: it is not.
        keep: None, or a function (compiled model, steps of an epoch) -> `Checkpoints`.
    """
    batches = training_batches(setting, data)
    metrics = ["accuracy"]
    if data.classes >= 200:
        metrics.append(keras.metrics.SparseTopKCategoricalAccuracy(5, name="top5"))
    rate = schedule(setting, len(batches))
    optimizer = OPTIMIZERS[setting.velocity](rate, momentum=MOMENTUM, l2=setting.l2)
    model.compile(
        optimizer,
        LOSS,
        metrics=metrics,
        jit_compile="auto" if keras.backend.backend() == "jax" else False,
    )
    if first:
        optimizer.build(model.trainable_variables)
        optimizer.iterations.assign(first * len(batches))
    loop.fit(
        model,
        batches,
        setting.epochs if last is None else last,
        [keras.callbacks.TerminateOnNaN(), *callbacks],
        keep(model, len(batches)) if keep else None,
        first=first,
        validation_data=validation,
    )
