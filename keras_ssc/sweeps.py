"""One network at several sparsities: trained, evaluated, and what each of them weighs."""

import json
import math
import time
import warnings
from pathlib import Path

import keras

from keras_ssc._summary import summary
from keras_ssc.arguments import boolean, integer
from keras_ssc.atomic_write import new_file
from keras_ssc.sparsity import UnreachableSparsity
from keras_ssc.tables import text_table


def sweep(build, sparsities, *, train, validation, nearest=False, seed=0, folder=None):
    """Train a network at several sparsities and return what each reaches and weighs.

    All models are built once before the first training, so that a sparsity that can't be reached
    costs no training.

    Args:
        build: function called as `build(sparsity=s)` that returns a new `keras.Model`, such as a
            builder of `keras_ssc.applications`. At 0 it returns the dense network.
        sparsities: list of floats in [0, 1), each once; 0 is the dense network to compare with.
        train: function called as `train(model)`, which compiles the model and fits it.
        validation: what `model.evaluate` takes: (x, y), or a dataset that gives them.
        nearest: bool. Where a sparsity can't be reached, True takes the nearest that can, with a
            warning; False raises the error.
        seed: int for `keras.utils.set_random_seed` before every build, or None, which leaves the
            generators alone.
        folder: None, or a folder (made if missing) for one `.json` file and one `.keras` model for
            each sparsity. What is there is not trained again: the same call resumes a sweep that
            was cut off.

    Returns:
        List of dicts, as `pandas.DataFrame` takes them, in the order of `sparsities`: sparsity (as
        asked), network_sparsity (as reached, over all Conv and Dense kernels), live_weights, bytes
        (of all variables, as stored in memory), macs (multiply-adds for one image), seconds (of
        the training), and all that `model.evaluate` returns, such as loss and accuracy.

    Raises:
        ValueError: a sparsity is outside of [0, 1), given twice or can't be reached, or a file of
            `folder` is no row of a sweep.
        TypeError: an argument has a wrong type.

    Example:

    >>> x, y = np.random.rand(16, 8, 8, 3), np.arange(16) % 2
    >>> def train(model):
    ...     model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    ...     model.fit(x, y, verbose=0)
    >>> def build(sparsity):
    ...     convolution = keras.layers.Conv2D(32, 3)
    ...     if sparsity:
    ...         convolution = keras_ssc.SSCConv2D(32, 3, sparsity=sparsity)
    ...     return keras.Sequential([
    ...         keras.Input((8, 8, 3)), keras.layers.Conv2D(32, 1), convolution,
    ...         keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2, "softmax")])
    >>> rows = sweep(build, [0, 0.9], train=train, validation=(x, y))
    >>> [row["bytes"] for row in rows]
    [37768, 4360]
    """
    sparsities = _checked(sparsities)
    for name, function in (("build", build), ("train", train)):
        if not callable(function):
            raise TypeError(f"`{name}` must be a function. Received: {name}={function!r}")
    boolean("nearest", nearest)
    if seed is not None:
        integer("seed", seed, 0)
    if folder is not None:
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
    rows = {sparsity: _read(folder, sparsity) for sparsity in sparsities}
    takes = {
        sparsity: _reachable(build, sparsity, nearest)
        for sparsity in sparsities
        if rows[sparsity] is None
    }
    for sparsity, taken in takes.items():
        rows[sparsity] = _run(build, sparsity, taken, train, validation, seed, folder)
    return [rows[sparsity] for sparsity in sparsities]


def pareto(rows, cost="bytes", metric="accuracy"):
    """Return the rows that no other beats: none is as good or better at a lower or equal cost.

    Args:
        rows: list of dicts, as `sweep` returns them.
        cost: str, a key of the rows; less is better.
        metric: str, a key of the rows; more is better.

    Returns:
        List of rows, by rising cost.

    Example:

    >>> rows = [{"bytes": 9, "accuracy": 0.9}, {"bytes": 1, "accuracy": 0.8},
    ...         {"bytes": 5, "accuracy": 0.7}]
    >>> [row["bytes"] for row in pareto(rows)]
    [1, 9]
    """
    best, kept = -math.inf, []
    for row in sorted(rows, key=lambda row: (row[cost], -row[metric])):
        if row[metric] > best:
            best = row[metric]
            kept.append(row)
    return kept


def sweep_table(rows):
    """Return the rows of a sweep as a table in text.

    Args:
        rows: list of dicts, as `sweep` returns them.

    Example:

    >>> row = {"sparsity": 0.9, "network_sparsity": 0.9012, "live_weights": 1000, "bytes": 4100,
    ...        "macs": 20000, "seconds": 3.0, "accuracy": 0.75}
    >>> print(sweep_table([row]))
    sparsity  reached  weights  bytes  multiply-adds  accuracy  seconds
    -------------------------------------------------------------------
         0.9   0.9012    1,000  4,100         20,000    0.7500        3
    """
    known = ("sparsity", "network_sparsity", "live_weights", "bytes", "macs", "seconds")
    metrics = [name for name in (rows[0] if rows else {}) if name not in known]
    head = ("sparsity", "reached", "weights", "bytes", "multiply-adds", *metrics, "seconds")
    lines = [
        (
            f"{row['sparsity']:g}", f"{row['network_sparsity']:.4f}", f"{row['live_weights']:,}",
            f"{row['bytes']:,}", "?" if row["macs"] is None else f"{row['macs']:,}",
            *(f"{row[name]:.4f}" for name in metrics), f"{row['seconds']:.0f}",
        )
        for row in rows
    ]  # fmt: skip
    return text_table(head, lines, left=())


def _checked(sparsities):
    """The sparsities as floats."""
    if isinstance(sparsities, (str, bytes)) or not hasattr(sparsities, "__iter__"):
        raise TypeError(
            f"`sparsities` must be a list of numbers. Received: sparsities={sparsities!r}"
        )
    found = []
    for value in sparsities:
        try:
            found.append(float(value))
        except (TypeError, ValueError):
            raise TypeError(
                f"`sparsities` must be a list of numbers. Received: {value!r} in it"
            ) from None
    if not found or len(set(found)) < len(found) or not all(0 <= one < 1 for one in found):
        raise ValueError(
            "`sparsities` must be numbers in [0, 1), at least one and each once. "
            f"Received: sparsities={found}"
        )
    return found


def _reachable(build, sparsity, nearest):
    """`sparsity`, or the nearest that `build` can reach."""
    try:
        build(sparsity=sparsity)
    except UnreachableSparsity as error:
        if not nearest:
            raise
        taken = min(error.nearest, key=lambda reached: abs(reached - sparsity))
        warnings.warn(
            f"sparsity {sparsity:g} can't be reached; {taken:.4f}, the nearest, is taken",
            stacklevel=3,
        )
        build(sparsity=taken)
        return taken
    return sparsity


def _run(build, sparsity, taken, train, validation, seed, folder):
    """Train one model; return its row, also written to `folder`."""
    if seed is not None:
        keras.utils.set_random_seed(seed)
    model = build(sparsity=taken)
    start = time.perf_counter()
    train(model)
    seconds = time.perf_counter() - start
    data = validation if isinstance(validation, (tuple, list)) else (validation,)
    reached = model.evaluate(*data, verbose=0, return_dict=True)
    found = summary(model)
    row = {
        "sparsity": sparsity,
        "network_sparsity": found.network_sparsity,
        "live_weights": found.live_weights,
        "bytes": sum(keras.ops.convert_to_numpy(one).nbytes for one in model.weights),
        "macs": found.macs,
        "seconds": seconds,
        **{name: float(value) for name, value in reached.items()},
    }
    if folder is not None:
        model_path, row_path = _paths(folder, sparsity)
        with new_file(model_path, ".keras", overwrite=True) as temporary:
            model.save(temporary)
        with new_file(row_path, ".json") as temporary:
            temporary.write_text(json.dumps(row, indent=1), encoding="utf-8")
    return row


def _paths(folder, sparsity):
    """The model's file and the row's."""
    return folder / f"sparsity-{sparsity:g}.keras", folder / f"sparsity-{sparsity:g}.json"


def _read(folder, sparsity):
    """The row of an earlier sweep, or None."""
    if folder is None or not _paths(folder, sparsity)[1].exists():
        return None
    path = _paths(folder, sparsity)[1]
    try:
        row = json.loads(path.read_text(encoding="utf-8"))
        if row["sparsity"] != sparsity or row["bytes"] < 0:
            raise ValueError("another sparsity")
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{str(path)!r} is no row of a sweep: {error}") from error
    return row
