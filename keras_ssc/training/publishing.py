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
from keras_ssc.applications._pretrained import (
    CLASSES,
    FOLDER,
    check_free,
    decode,
    encode,
    in_words,
    put,
    write,
)
from keras_ssc.datasets.facts import FACTS
from keras_ssc.model_file import read_model
from keras_ssc.training.environment import environment

RECIPE = ("epochs", "batch_size", "learning_rate", "momentum", "l2", "seed")
SOURCES = {
    "cifar10": "CIFAR-10 (Krizhevsky, 2009), 50,000 training images",
    "cifar100": "CIFAR-100 (Krizhevsky, 2009), 50,000 training images",
}
# Accuracy that a network may lose, or win, when its kernels are rounded to float16.
ROUNDING = 0.002


def publish(run_dir, data_dir, folder=FOLDER, replace=False):
    """Write the weights of a finished run and their card into the package.

    The weights are those of the last epoch, whatever the test accuracies of the others were. They
    are rounded first; accuracy and time are those of the rounded ones.

    Args:
        run_dir: path, a folder that `train` has left.
        data_dir: path, where the image set is, as for `datasets.load`.
        folder: path, where the two files go.
        replace: bool. True: other weights of this very network are removed.

    Returns:
        The card, a dict.

    Raises:
        ValueError: the run is not finished, or was not made with a builder's defaults (but for
            `sparsity`), or on all images; or the network has weights, without `replace`.

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
    card = {
        "model": settings["model"],
        "dataset": settings["dataset"],
        "arguments": {"sparsity": settings["sparsity"]},
        "recipe": {key: settings[key] for key in RECIPE},
        "hardware": described["hardware"]["cpu"]["name"],
        "versions": described["versions"],
    }
    trained = read_model(run_dir / "last.keras", compile=False)
    data = datasets.load(settings["dataset"], data_dir)
    return publish_network(trained, card, data, folder, replace)


def publish_network(trained, about, data, folder=FOLDER, replace=False, recorded=None):
    """Write the weights of a network and their card, measured as a user will load them.

    Args:
        trained: network with the weights.
        about: dict, what the card has besides what is measured here: `model`, `dataset`,
            `arguments` (of the builder), `recipe`, `hardware`, `versions`, ...
        data: `Dataset` whose test images are looked at; None: the accuracy is the recorded one.
        folder, replace: as for `publish`.
        recorded: float, the test accuracy before the rounding; None: not known.

    Returns:
        The card, a dict.

    Raises:
        ValueError: the network has weights, without `replace`, or another accuracy than recorded.
    """
    dataset, arguments, facts = about["dataset"], about["arguments"], FACTS[about["dataset"]]
    model = untrained(about["model"], dataset, arguments)
    for one, other in zip(model.weights, trained.weights, strict=True):
        one.assign(other)
    content = encode(model)
    put(model, decode(content))
    check_free(content, model, about, folder, replace)
    found = summary(model)
    if data is None:
        measured, of = recorded, "of the weights before they were rounded, by the record"
    else:
        measured, of = accuracy(model, data), "of this file"
    if recorded is not None and abs(measured - recorded) > ROUNDING:
        raise ValueError(
            f"`weights` must give the recorded test accuracy, {recorded}, within {ROUNDING}. "
            f"Received: weights that give {measured} in float16"
        )
    card = {
        "model": about["model"],
        "dataset": dataset,
        "sparsity": arguments.get("sparsity", round(found.network_sparsity, 3)),
        "data": f"{SOURCES[dataset]}, padded by 4, cropped, flipped",
        "preprocess_input": {"mean": list(facts.mean), "std": list(facts.std)},
        **about,
        "network_sparsity": found.network_sparsity,
        "live_weights": found.live_weights,
        "dense_weights": found.dense_weights,
        "multiply_adds": found.macs,
        "dense_multiply_adds": found.dense_macs,
        "licence": "Apache-2.0",
        "test_accuracy": measured,
        "test_accuracy_is": of,
        "milliseconds": milliseconds(model),
        "milliseconds_on": environment()["hardware"]["cpu"]["name"],
    }
    return write(content, model, card, folder, replace)


def untrained(builder, dataset, arguments):
    """Return a network for an image set.

    Args:
        builder: str, a name of `keras_ssc.applications`.
        dataset: str, a key of `SOURCES`.
        arguments: dict, the builder's.
    """
    common = {"input_shape": FACTS[dataset].input_shape, "classes": CLASSES[dataset]}
    return getattr(applications, builder)(**common, **arguments)


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
        "arguments",
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
            f"`{in_words(one['arguments'])}`",
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
