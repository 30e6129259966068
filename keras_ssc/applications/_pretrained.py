"""Trained weights: which there are, and their way into a network.

The folder weights/ has two files for each: `NAME.npz`, one array a weight (kernels in float16)
under the weight's path, and `NAME.json`, its model card. NAME ends with the first eight digits of
the first file's hash.
"""

import functools
import hashlib
import io
import json
from pathlib import Path

import keras
import numpy as np

from keras_ssc.atomic_write import atomic_write
from keras_ssc.layers import SSCConv2D

FOLDER = Path(__file__).with_name("weights")
CLASSES = {"cifar10": 10, "cifar100": 100}


def structure(model):
    """Return the hash that two networks have in common where one's weights fit the other.

    Args:
        model: network of `keras_ssc.applications`.

    Returns:
        Str of 16 hexadecimal digits: of the paths and shapes of the weights and of the sparse
        layers' patterns, the classifier's apart. Image size, precision and form of execution have
        no part in it.
    """
    weights = [(one.path, list(one.shape)) for one in _backbone(model)]
    patterns = [
        (layer.name, layer.g, layer.p, layer.shift, layer.parity, layer.set_offset)
        for layer in model.layers
        if isinstance(layer, SSCConv2D) and layer.name != "logits"
    ]
    return hashlib.sha256(json.dumps([weights, patterns]).encode()).hexdigest()[:16]


def _backbone(model):
    return [one for one in model.weights if not one.path.startswith("logits/")]


@functools.cache
def cards():
    """Return the model cards, a tuple of dicts, sorted by file name."""
    paths = sorted(FOLDER.glob("*.json"))
    return tuple(json.loads(path.read_text(encoding="utf-8")) for path in paths)


def load_pretrained(model, builder, dataset):
    """Give a network the weights that were trained on an image set.

    Args:
        model: network, with or without its classifier.
        builder: str, the name of the builder that made it.
        dataset: str, a key of `CLASSES`.

    Raises:
        ValueError: there are no weights for this network with these patterns (the message lists
            those that there are), or the file is not the one that its card describes.
    """
    offered = [one for one in cards() if (one["model"], one["dataset"]) == (builder, dataset)]
    fitting = [one for one in offered if one["structure"] == structure(model)]
    values = read(fitting[0]) if fitting else {}
    if not all(values.get(one.path, np.empty(0)).shape == one.shape for one in model.weights):
        trained = "; ".join(in_words(one["arguments"]) for one in offered) or "none"
        raise ValueError(
            f"`weights={dataset!r}` must go with the arguments of a {builder} that was trained. "
            f"Trained, with the defaults of all other arguments: {trained}. "
            "Received: arguments that give other patterns"
        )
    put(model, values)


def in_words(arguments):
    """Return a builder's arguments as they are written in a call.

    Example:

    >>> in_words({"sparsity": 0.98, "set_offset": "butterfly"})
    "sparsity=0.98, set_offset='butterfly'"
    """
    return ", ".join(f"{name}={value!r}" for name, value in arguments.items())


def put(model, values):
    """Give a network the weights of `decode`, whatever the classifier of the file is."""
    for one in model.weights:
        one.assign(keras.ops.cast(values[one.path], one.dtype))


def read(card):
    """Return the weights of a card: dict path -> array."""
    path = FOLDER / card["file"]
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != card["sha256"]:
        raise ValueError(f"{str(path)!r} must be the file that its card describes; install it anew")
    return decode(content)


def decode(content):
    """Return the weights in the bytes of a file: dict path -> array."""
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        return dict(file)


def encode(model):
    """Return a network's weights as the bytes of a file, the kernels rounded to float16.

    The vectors, BatchNormalization's and biases, stay exact: they are few.

    Raises:
        ValueError: a weight is not finite in float16.
    """
    values = {}
    for one in model.weights:
        value = keras.ops.convert_to_numpy(one)
        if not np.abs(value).max() <= np.finfo("float16").max:
            raise ValueError(f"`model` must have finite weights in float16. Received: {one.path}")
        values[one.path] = value.astype("float16") if value.ndim > 1 else value
    content = io.BytesIO()
    np.savez_compressed(content, **values)
    return content.getvalue()


def check_free(content, model, card, folder, replace):
    """Return the cards of other weights for this very network, which are to be replaced.

    Args:
        content: bytes of `encode`.
        model: the network.
        card: dict with `model` and `dataset`.
        folder: path.
        replace: bool.

    Raises:
        ValueError: there are some, and `replace` is False.
    """
    digest, own = hashlib.sha256(content).hexdigest(), structure(model)
    there = [json.loads(path.read_text(encoding="utf-8")) for path in Path(folder).glob("*.json")]
    former = [
        one
        for one in there
        if (one["model"], one["dataset"], one["structure"]) == (card["model"], card["dataset"], own)
        and one["sha256"] != digest
    ]
    if former and not replace:
        raise ValueError(
            f"`replace` must be True where this network has weights. Received: replace={replace}, "
            f"with {former[0]['file']} ({former[0]['test_accuracy']:.2%}) in the folder"
        )
    return former


def write(content, model, card, folder=FOLDER, replace=False):
    """Write a network's weights and card; return the card with `file`, `sha256` and `bytes`.

    Args:
        content: bytes of `encode`.
        model: the network.
        card: dict with `model`, `dataset`, `sparsity`, `arguments` (the builder's, but for
            `classes`) and what else there is to say.
        folder: path.
        replace: bool. True: other weights for this very network are removed.
    """
    former = check_free(content, model, card, folder, replace)
    digest = hashlib.sha256(content).hexdigest()
    name = f"{card['model'].lower()}-{card['dataset']}-{card['sparsity']:g}-{digest[:8]}"
    more = {"file": f"{name}.npz", "sha256": digest, "bytes": len(content)}
    card = {**card, **more, "structure": structure(model)}
    with atomic_write(Path(folder) / card["file"]) as temporary:
        temporary.write_bytes(content)
        words = json.dumps(card, indent=2) + "\n"
        temporary.with_suffix(".json").write_text(words, encoding="utf-8")
    for one in former:
        for suffix in (".json", ".npz"):
            (Path(folder) / one["file"]).with_suffix(suffix).unlink()
    return card
