"""The outputs of a written file beside those of its model."""

from typing import NamedTuple

import keras
import numpy as np

from keras_ssc.model_graph import ends

BATCH = 32


class Comparison(NamedTuple):
    """Differences are relative to the model's largest output.

    Attributes:
        largest_difference, mean_difference: floats; of several outputs the worst.
        agreement: float, the share of inputs with the same largest score; None unless the first
            output is a vector of scores.
    """

    largest_difference: float
    mean_difference: float
    agreement: float | None


def random_inputs(model):
    """Two random inputs; sizes that the model leaves open are 32."""
    random = np.random.default_rng(0)
    shapes = [(x.shape[0] or 2, *(size or 32 for size in x.shape[1:])) for x in model.inputs]
    return [
        random.normal(size=shape).astype(x.dtype)
        for shape, x in zip(shapes, model.inputs, strict=True)
    ]


def as_function(model):
    """Return the model at inference as a function: list of arrays in, list of arrays out."""

    def run(inputs):
        outputs = model(keras.tree.pack_sequence_as(ends(model)[0], inputs), training=False)
        return [keras.ops.convert_to_numpy(output) for output in keras.tree.flatten(outputs)]

    return run


def in_batches(run):
    """Return `run`, a function of a list of arrays, as one that takes some inputs at a time."""

    def run_all(inputs):
        starts = range(0, len(inputs[0]), BATCH)
        parts = [run([one[start : start + BATCH] for one in inputs]) for start in starts]
        return [np.concatenate(part) for part in zip(*parts, strict=True)]

    return run_all


def compare(found, expected):
    """Return the `Comparison` of two lists of arrays.

    Example:

    >>> compare([np.array([[0.0, 3.0], [2.0, 1.0]])], [np.array([[0.0, 4.0], [1.0, 2.0]])])
    Comparison(largest_difference=0.25, mean_difference=0.1875, agreement=0.5)
    """
    largest, mean = [0.0], [0.0]
    for ours, theirs in zip(found, expected, strict=True):
        ours, theirs = np.asarray(ours, "float64"), np.asarray(theirs, "float64")
        difference = np.abs(ours - theirs) / (np.abs(theirs).max(initial=0.0) or 1.0)
        largest.append(difference.max(initial=0.0))
        mean.append(difference.mean() if difference.size else 0.0)
    agreement = None
    if expected and expected[0].ndim == 2 and expected[0].shape[1] > 1:
        same = np.argmax(found[0], axis=1) == np.argmax(expected[0], axis=1)
        agreement = float(same.mean())
    # The largest of NumPy, because it hands on nan.
    return Comparison(float(np.max(largest)), float(np.max(mean)), agreement)
