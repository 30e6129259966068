"""A finished run becomes trained weights with a model card, and the page that lists them."""

import json
import statistics
import time
from pathlib import Path

import keras
import numpy as np

from keras_ssc import applications, datasets
from keras_ssc._summary import summary
from keras_ssc.applications._preprocess import preprocess_input
from keras_ssc.applications._pretrained import FOLDER, round_kernels, write
from keras_ssc.model_file import read_model

RECIPE = ("epochs", "batch_size", "learning_rate", "momentum", "l2", "seed")
SOURCES = {
    "cifar10": "CIFAR-10 (Krizhevsky, 2009), 50,000 training images",
    "cifar100": "CIFAR-100 (Krizhevsky, 2009), 50,000 training images",
}


def publish(run_dir, data_dir, folder=FOLDER):
    """Write the weights of a finished run and their card into the package.

    The weights are those of the last epoch, whatever the test accuracies of the others were. They
    are rounded first; accuracy and time are those of the rounded ones.

    Args:
        run_dir: path, a folder that `train` has left.
        data_dir: path, where the image set is, as for `datasets.load`.
        folder: path, where the two files go.

    Returns:
        The card, a dict.

    Raises:
        ValueError: the run is not finished, or was not made with a builder's defaults (but for
            `sparsity`), or on all images.

    Example:

        publish("runs/cifar10", "data")
    """
    run_dir = Path(run_dir)
    if not (run_dir / "results.json").is_file():
        raise ValueError(f"`run_dir` must hold a finished run. Received: {str(run_dir)!r}")
    described = json.loads((run_dir / "settings.json").read_text(encoding="utf-8"))
    settings = described["settings"]
    changed = [key for key in ("g", "p", "limit") if settings[key] is not None]
    if changed or settings["dataset"] not in SOURCES:
        raise ValueError(
            "`run_dir` must hold a run on CIFAR-10 or CIFAR-100 with all of its images, without "
            f"`g` and `p`. Received: {changed or settings['dataset']}"
        )
    data = datasets.load(settings["dataset"], data_dir)
    build = getattr(applications, settings["model"])
    model = build(sparsity=settings["sparsity"], classes=data.classes)
    trained = read_model(run_dir / "last.keras", compile=False)
    for one, other in zip(model.weights, trained.weights, strict=True):
        one.assign(other)
    round_kernels(model)
    found = summary(model)
    card = {
        "model": settings["model"],
        "dataset": settings["dataset"],
        "sparsity": settings["sparsity"],
        "data": SOURCES[settings["dataset"]] + ", padded by 4, cropped, flipped",
        "recipe": {key: settings[key] for key in RECIPE},
        "network_sparsity": found.network_sparsity,
        "live_weights": found.live_weights,
        "dense_weights": found.dense_weights,
        "multiply_adds": found.macs,
        "dense_multiply_adds": found.dense_macs,
        "hardware": described["hardware"]["cpu"]["name"],
        "versions": described["versions"],
        "licence": "Apache-2.0",
        "test_accuracy": accuracy(model, data),
        "milliseconds": milliseconds(model),
    }
    return write(model, card, folder)


def accuracy(model, data):
    """Return the share of an image set's test images whose class a network finds, a float."""
    hits = 0
    for start in range(0, len(data.x_test), 500):
        x = preprocess_input(data.x_test[start : start + 500], "channels_last", data.name)
        scores = keras.ops.convert_to_numpy(model(x, training=False))
        hits += int((scores.argmax(-1) == data.y_test[start : start + 500]).sum())
    return hits / len(data.x_test)


def milliseconds(model, repeats=30):
    """Return the median time of `predict` for one image, in milliseconds."""
    x = np.zeros((1, *model.input_shape[1:]), "float32")
    times = []
    for _ in range(repeats + 3):
        begin = time.perf_counter()
        model.predict(x, verbose=0)
        times.append(time.perf_counter() - begin)
    return round(1e3 * statistics.median(times[3:]), 2)


def page(cards):
    """Return the page that lists the cards, in Markdown.

    Args:
        cards: dicts of `publish`.
    """
    head = (
        "network",
        "image set",
        "sparsity",
        "test accuracy",
        "epochs",
        "seed",
        "weights",
        "of dense",
        "multiply-adds",
        "of dense",
        "file",
    )
    rows = [
        (
            one["model"],
            one["dataset"],
            f"{one['sparsity']:g}",
            f"{one['test_accuracy']:.2%}",
            one["recipe"]["epochs"],
            one["recipe"]["seed"],
            f"{one['live_weights']:,}",
            f"{one['live_weights'] / one['dense_weights']:.1%}",
            f"{one['multiply_adds'] / 1e6:.1f} M",
            f"{one['multiply_adds'] / one['dense_multiply_adds']:.1%}",
            f"{one['bytes'] / 1e3:.0f} kB",
        )
        for one in sorted(cards, key=lambda one: (one["dataset"], one["model"], one["sparsity"]))
    ]
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
