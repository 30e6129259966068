"""One training on several devices and processes, from its settings to a run folder."""

import tempfile
from contextlib import nullcontext
from pathlib import Path

import keras

from keras_ssc import datasets
from keras_ssc.atomic_write import remove_leftovers
from keras_ssc.datasets.sharding import ShardedBatches
from keras_ssc.datasets.streaming import TfdsStream
from keras_ssc.training.devices import data_parallel, join, synchronized
from keras_ssc.training.lock import locked
from keras_ssc.training.optimizer import CoupledSGD
from keras_ssc.training.recipe import drop_at_half_and_three_quarters
from keras_ssc.training.run_folder import (
    RunFolderError,
    beside,
    read_csv,
    write_csv,
)


class LostProcess(RuntimeError):
    """Another process of this training is gone; what was done since the last epoch is lost.

    Example:

    >>> raise LostProcess("a process of this training is gone")
    Traceback (most recent call last):
    keras_ssc.training.distributed.LostProcess: a process of this training is gone
    """


def train_distributed(job, run_dir=None, build=None, callbacks=()):
    """Train on the devices of this machine, or of several processes, epoch by epoch.

    After each epoch process 0 writes last.keras and metrics.csv into the folder, which all
    processes must see. The same call goes on from there, also with another number of devices or
    processes; sets in memory then give the same curve, up to rounding.

    Args:
        job: `Job`, the same in every process but for `process`.
        run_dir: folder; None: a dry run, two updates from the start and nothing written.
        build: function (input_shape, classes) -> Keras model, in place of `job.model`.
        callbacks: list of Keras callbacks.

    Returns:
        (model, list of dicts): the rows of metrics.csv.

    Raises:
        ValueError: the batch can't be divided, or a setting can't be used here.
        RunFolderError: last.keras can't be read, or the folder can't be used.
        FolderInUseError: another training works in the folder.
        LostProcess: another process died.

    Example:

        train_distributed(Job(dataset="digits", devices=4), "runs/four")

    Reference: Goyal et al., "Accurate, Large Minibatch SGD".
    """
    if job.processes > 1:
        join(job.address, job.processes, job.process)
    strategy = data_parallel(job.devices)
    count = _device_count(strategy)
    if job.batch_size % (count * job.accumulate):
        raise ValueError(
            f"`batch_size` must be a multiple of {count} devices x {job.accumulate} pieces. "
            f"Received: batch_size={job.batch_size}"
        )
    keras.utils.set_random_seed(job.seed)
    train, test, classes, shape = _data(job)
    folder = None if run_dir is None else Path(run_dir)
    mine = locked(folder) if folder is not None and job.process == 0 else nullcontext()
    try:
        with mine, strategy.scope():
            model = _restored(folder)
            if model is None:
                model = (build or job.build)(shape, classes)
                model = synchronized(model) if count > 1 else model
                _compile(job, model, len(train))
            return model, _run(job, model, train, test, folder, callbacks)
    except Exception as error:
        if job.processes > 1 and _says_that_another_is_gone(error):
            raise LostProcess(
                "a process of this training is gone, so this one ends too. Start all of them "
                f"again, or fewer: they go on after the last whole epoch ({error})"
            ) from error
        raise


def _says_that_another_is_gone(error):
    """Whether an error comes from between the processes; JAX has no type of its own for these."""
    words = ("Gloo", "NCCL", "coordination service", "Connection reset", "Connection closed")
    return any(word in str(error) for word in words)


def _run(job, model, train, test, folder, callbacks):
    """All epochs that are left, or two updates."""
    if folder is None:
        steps = min(2 * job.accumulate, len(train))
        model.fit(train.epoch(0), steps_per_epoch=steps, shuffle=False, verbose=0)
        return []
    if job.process == 0:
        remove_leftovers(folder)
    iterations = int(keras.ops.convert_to_numpy(model.optimizer.iterations))
    done = iterations * job.accumulate // len(train)
    rows = read_csv(folder / "metrics.csv")[:done]
    for epoch in range(done, job.epochs):
        fitted = model.fit(
            train.epoch(epoch),
            initial_epoch=epoch,
            epochs=epoch + 1,
            callbacks=list(callbacks),
            shuffle=False,
            verbose=0,
        )
        tested = model.evaluate(test.epoch(0), verbose=0, return_dict=True)
        row = {"epoch": epoch + 1}
        row |= {name: fitted.history[name][0] for name in ("accuracy", "loss")}
        # Keras's `loss` counts the images of weight 0 that fill up the last batch.
        rows.append(row | {"val_accuracy": tested["accuracy"], "val_loss": tested["mean_loss"]})
        _save(model, folder, job.process)
        if job.process == 0:
            write_csv(folder / "metrics.csv", rows)
            print(", ".join(f"{name} {value:.6g}" for name, value in rows[-1].items()), flush=True)
    return rows


def _save(model, folder, process):
    """Write last.keras. Saving makes variables, which on JAX all processes must do together."""
    if process == 0:
        with beside(folder / "last.keras") as temporary:
            model.save(temporary)
        return
    with tempfile.TemporaryDirectory() as place:
        model.save(Path(place) / "thrown_away.keras")


def _device_count(strategy):
    """How many devices share a batch."""
    if keras.backend.backend() == "jax":
        return len(strategy.device_mesh.devices.ravel())
    return strategy.num_replicas_in_sync


def _data(job):
    """(training, test, classes, image shape) of this process."""
    part = {"processes": job.processes, "process": job.process}
    if job.streamed:
        common = {"size": job.image_size, "batch_size": job.batch_size, "seed": job.seed, **part}
        train = TfdsStream(
            job.dataset, job.data_dir, "train", accumulate=job.accumulate, training=True, **common
        )
        test = TfdsStream(job.dataset, job.data_dir, job.test_split, **common)
        return train, test, train.classes, (job.image_size, job.image_size, 3)
    data = datasets.load(job.dataset, job.data_dir)
    common = {"mean": data.mean, "std": data.std, "classes": data.classes}
    options = {"augment": True, "flip": data.flip, "shuffle": True, "seed": job.seed}
    cut, size = slice(job.limit), job.batch_size
    train = datasets.Batches(data.x_train[cut], data.y_train[cut], size, **options, **common)
    test = datasets.Batches(data.x_test[cut], data.y_test[cut], size, **common)
    train = ShardedBatches(train, accumulate=job.accumulate, **part)
    return train, ShardedBatches(test, fill=True, **part), data.classes, data.x_train.shape[1:]


def _compile(job, model, steps):
    """Give a new network the recipe."""
    model.compile(
        CoupledSGD(
            # Keras counts the pieces of a batch, not the updates.
            drop_at_half_and_three_quarters(job.learning_rate, job.epochs * steps),
            momentum=job.momentum,
            l2=job.l2,
            gradient_accumulation_steps=job.accumulate if job.accumulate > 1 else None,
        ),
        "sparse_categorical_crossentropy",
        metrics=[],
        weighted_metrics=[
            "accuracy",
            keras.metrics.SparseCategoricalCrossentropy(name="mean_loss"),
        ],
    )
    return model


def _restored(folder):
    """The model and optimizer of last.keras, None where there is none."""
    path = None if folder is None else folder / "last.keras"
    if path is None or not path.exists():
        return None
    try:
        return keras.models.load_model(path)
    except Exception as error:
        raise RunFolderError(
            f"{str(path)!r} can't be read; it may be truncated or foreign ({error}). Choose "
            "another --run-dir."
        ) from error
