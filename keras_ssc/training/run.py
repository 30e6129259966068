"""One training from settings to a run folder."""

import json
import statistics
from pathlib import Path

import keras

from keras_ssc import applications, datasets
from keras_ssc.callbacks import FilterCorrelation
from keras_ssc.summary import summary
from keras_ssc.training.optimizer import CoupledSGD
from keras_ssc.training.plots import plot_correlation, plot_curves
from keras_ssc.training.progress import Progress
from keras_ssc.training.recipe import drop_at_half_and_three_quarters
from keras_ssc.training.record import Record
from keras_ssc.training.run_folder import (
    RunFolderError,
    beside,
    check_settings,
    remove_leftovers,
    write_settings,
)


def train(settings, run_dir, resume=False):
    """Train a network and leave everything that was learnt in a folder.

    The folder then holds settings.json, summary.txt, metrics.csv, correlation.csv, best.keras,
    last.keras, saved_model/, curves.png, correlation.png and results.json.

    Args:
        settings: `Settings`.
        run_dir: the folder. It must be new or empty, unless `resume`.
        resume: bool. Go on after the last finished epoch of a run with the same settings; start
            afresh where there is none; return at once where it is finished.

    Returns:
        The dict of results.json.

    Raises:
        RunFolderError: the folder is taken, can't be written, or holds another run.
        FloatingPointError: the loss is not finite.
        ValueError: a setting or the data can't be used.

    Example:

        train(Settings(dataset="digits"), "runs/digits")

    Reference: GraSP's recipe (paper, section 4).
    """
    folder = Path(run_dir)
    finished = _open_folder(folder, resume)
    if finished is not None:
        check_settings(folder, settings)
        print(f"The run in {folder} is finished.")
        return finished
    keras.utils.set_random_seed(settings.seed)
    data = _load(settings)
    batches, test = _batches(settings, data)
    remove_leftovers(folder)
    model = _restore(folder, settings) if (folder / "last.keras").exists() else None
    if model is None:
        model = _new_model(settings, data, len(batches))
        write_settings(folder, settings)
        with beside(folder / "summary.txt") as temporary:
            temporary.write_text(f"{summary(model)}\n")
    done = int(model.optimizer.iterations) // len(batches)
    if done:
        print(f"Going on after epoch {done} of {settings.epochs}.")
    record = Record(folder, done)
    progress = Progress(settings.epochs, len(batches), done)
    try:
        model.fit(
            batches,
            validation_data=test,
            initial_epoch=done,
            epochs=settings.epochs,
            callbacks=[batches.follow_epochs(), FilterCorrelation(), record, progress],
            shuffle=False,
            verbose=0,
        )
    finally:
        progress.stop()
    return _finish(folder, settings, model, record)


def _open_folder(folder, resume):
    """Make the folder; return the results of a finished run, None where there is work to do."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        taken = any(folder.iterdir())
    except OSError as error:
        raise RunFolderError(f"{str(folder)!r} can't be a run folder: {error}") from error
    if taken and not resume:
        raise RunFolderError(
            f"{str(folder)!r} is not empty. --resume goes on with its run; or name another folder."
        )
    if not (folder / "results.json").exists():
        if taken and not (folder / "settings.json").exists():
            raise RunFolderError(
                f"{str(folder)!r} holds files, but no run. Choose another --run-dir."
            )
        return None
    try:
        return json.loads((folder / "results.json").read_text())
    except (OSError, ValueError) as error:
        raise RunFolderError(
            f"results.json in {str(folder)!r} can't be read ({error}). Remove it: it is made anew."
        ) from error


def _load(settings):
    data = datasets.load(settings.dataset, settings.data_dir)
    if settings.limit is None:
        return data
    from dataclasses import replace

    cut = slice(settings.limit)
    parts = ("x_train", "y_train", "x_test", "y_test")
    return replace(data, **{part: getattr(data, part)[cut] for part in parts})


def _batches(settings, data):
    """Training and test batches."""
    common = {"mean": data.mean, "std": data.std, "classes": data.classes}
    train = datasets.Batches(
        data.x_train,
        data.y_train,
        settings.batch_size,
        augment=True,
        flip=data.flip,
        shuffle=True,
        seed=settings.seed,
        **common,
    )
    return train, datasets.Batches(data.x_test, data.y_test, 256, **common)


def _new_model(settings, data, steps):
    """The network, compiled with the recipe."""
    build = getattr(applications, settings.model)
    model = build(
        input_shape=data.x_train.shape[1:],
        classes=data.classes,
        sparsity=settings.sparsity,
        g=settings.g,
        p=settings.p,
        execution=settings.execution,
    )
    schedule = drop_at_half_and_three_quarters(settings.learning_rate, settings.epochs * steps)
    model.compile(
        CoupledSGD(schedule, momentum=settings.momentum, l2=settings.l2),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=settings.jit_compile,
    )
    return model


def _restore(folder, settings):
    """The model and optimizer of last.keras."""
    check_settings(folder, settings)
    path = folder / "last.keras"
    try:
        model = keras.models.load_model(path)
        int(model.optimizer.iterations)
    except Exception as error:
        raise RunFolderError(
            f"{str(path)!r} can't be read; it may be truncated or foreign ({error}). Remove it to "
            "start this run afresh, or choose another --run-dir."
        ) from error
    return model


def _finish(folder, settings, model, record):
    """Export, draw, and write the results, results.json last: it marks the run as finished."""
    best = max(record.metrics, key=lambda row: row["val_accuracy"])
    sizes = summary(model)
    results = {
        "model": settings.model,
        "dataset": settings.dataset,
        "sparsity_asked": settings.sparsity,
        "network_sparsity": sizes.network_sparsity,
        "layer_sparsity": sizes.layer_sparsity,
        "trainable_parameters": sizes.trainable_parameters,
        "dense_trainable_parameters": sizes.dense_trainable_parameters,
        "multiply_adds": sizes.macs,
        "dense_multiply_adds": sizes.dense_macs,
        "last_accuracy": record.metrics[-1]["val_accuracy"],
        "best_accuracy": best["val_accuracy"],
        "best_epoch": best["epoch"],
        "epochs": len(record.metrics),
        "seconds_per_epoch": statistics.median(row["seconds"] for row in record.metrics),
        "saved_model": _export(folder, model),
    }
    with beside(folder / "curves.png") as temporary:
        plot_curves(record.metrics, temporary)
    with beside(folder / "correlation.png") as temporary:
        plot_correlation(record.correlation, temporary)
    with beside(folder / "results.json") as temporary:
        temporary.write_text(json.dumps(results, indent=2) + "\n")
    return results


def _export(folder, model):
    """Write saved_model/; return its name, or why there is none."""
    if keras.backend.backend() != "tensorflow":
        return "not run: a SavedModel is TensorFlow's"
    with beside(folder / "saved_model") as temporary:
        model.export(temporary, format="tf_saved_model", verbose=False)
    return "saved_model"


def closing_table(results):
    """Return the results as a table to print.

    Args:
        results: dict, as `train` returns it.

    Example:

        print(closing_table(train(Settings(), "runs/digits")))
    """

    def number(key):
        return "?" if results[key] is None else f"{results[key]:,}"

    asked = results["sparsity_asked"]
    rows = [
        ("network", f"{results['model']} on {results['dataset']}"),
        ("sparsity asked", "by g and p" if asked is None else f"{asked:.4f}"),
        ("sparsity reached", f"{results['network_sparsity']:.4f} of Conv and Dense kernels"),
        ("", f"{results['layer_sparsity']:.4f} of the sparse layers"),
        ("trainable parameters", number("trainable_parameters")),
        ("  of the dense twin", number("dense_trainable_parameters")),
        ("multiply-adds", number("multiply_adds")),
        ("  of the dense twin", number("dense_multiply_adds")),
        ("test accuracy, last", f"{results['last_accuracy']:.4f}"),
        ("test accuracy, best", f"{results['best_accuracy']:.4f} (epoch {results['best_epoch']})"),
        (
            "seconds per epoch",
            f"{results['seconds_per_epoch']:.1f} (median of {results['epochs']})",
        ),
        ("SavedModel", results["saved_model"]),
    ]
    return "\n".join(f"{name:<22}{value}" for name, value in rows)
