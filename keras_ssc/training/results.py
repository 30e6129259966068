"""The end of a run: export, pictures, results, and the table to print."""

import json
import statistics

import keras

from keras_ssc._summary import summary
from keras_ssc.training.curves import plot_correlation, plot_curves
from keras_ssc.training.run_folder import RunFolderError, beside


def finish(folder, config, data, model, log):
    """Export, draw, and write the results, results.json last: it marks the run as finished."""
    best = max(log.metrics, key=lambda row: row["val_accuracy"])
    sizes = summary(model)
    results = {
        "model": config.model,
        "dataset": config.dataset,
        "sparsity_asked": config.sparsity,
        "network_sparsity": sizes.network_sparsity,
        "layer_sparsity": sizes.layer_sparsity,
        "trainable_parameters": sizes.trainable_parameters,
        "dense_trainable_parameters": sizes.dense_trainable_parameters,
        "multiply_adds": sizes.macs,
        "dense_multiply_adds": sizes.dense_macs,
        "last_accuracy": log.metrics[-1]["val_accuracy"],
        "best_accuracy": best["val_accuracy"],
        "best_epoch": best["epoch"],
        "epochs": len(log.metrics),
        "seconds_per_epoch": statistics.median(row["seconds"] for row in log.metrics),
        "preprocessing": {"scale": 1 / 255, "mean": list(data.mean), "std": list(data.std)},
        "saved_model": _export(folder, model),
    }
    with beside(folder / "curves.png") as temporary:
        plot_curves(log.metrics, temporary)
    with beside(folder / "correlation.png") as temporary:
        plot_correlation(log.correlation, temporary)
    with beside(folder / "results.json") as temporary:
        temporary.write_text(json.dumps(results, indent=2) + "\n")
    return results


def _export(folder, model):
    """Write saved_model/; return its name, or why there is none."""
    if keras.backend.backend() != "tensorflow":
        return "not run: a SavedModel is TensorFlow's"
    with beside(folder / "saved_model") as temporary:
        try:
            model.export(temporary, format="tf_saved_model", verbose=False)
        except Exception as error:  # TensorFlow's own for a full disk are no OSError
            what = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise RunFolderError(
                f"{str(folder / 'saved_model')!r} can't be written: {what}"
            ) from error
    return "saved_model"


def closing_table(results):
    """Return the results as a table to print.

    Args:
        results: dict, as `train` returns it.

    Example:

        print(closing_table(train(TrainingConfig(), "runs/digits")))
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
        ("  dense counterpart", number("dense_trainable_parameters")),
        ("multiply-adds", number("multiply_adds")),
        ("  dense counterpart", number("dense_multiply_adds")),
        ("test accuracy, last", f"{results['last_accuracy']:.4f}"),
        ("test accuracy, best", f"{results['best_accuracy']:.4f} (epoch {results['best_epoch']})"),
        (
            "seconds per epoch",
            f"{results['seconds_per_epoch']:.1f} (median of {results['epochs']})",
        ),
        ("SavedModel", results["saved_model"]),
    ]
    return "\n".join(f"{name:<22}{value}" for name, value in rows)
