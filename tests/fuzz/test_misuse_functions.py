"""Every public function and class with a wrong argument: refused by name, or truly legal."""

import functools
import inspect
import math
import numbers
from contextlib import nullcontext

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from misuse import budget, count, finding, hostile, refusal, refused

import keras_ssc
from keras_ssc import pruning

pytestmark = pytest.mark.fuzz


def ints(low, high=math.inf):
    """A rule: an integer, no bool, in [low, high]."""

    def rule(value):
        if isinstance(value, np.ndarray):
            return value.shape == () and rule(value[()])
        right = isinstance(value, numbers.Integral) and not isinstance(value, (bool, np.bool_))
        return right and low <= value <= high

    return rule


def between(low, high, ends=True):
    """A rule: a real number, no bool, in [low, high], or in (low, high) without `ends`."""

    def rule(value):
        if isinstance(value, np.ndarray):
            return value.shape == () and rule(value[()])
        right = isinstance(value, numbers.Real) and not isinstance(value, (bool, np.bool_))
        return right and (low <= value <= high if ends else low < value < high)

    return rule


def among(*choices):
    """A rule: one of these words."""
    return lambda value: isinstance(value, str) and value.lower() in choices


def truth(value):
    return isinstance(value, (bool, np.bool_))


def names(value):
    """A rule: no names at all, since none is drawn that the model has."""
    return value is None or (not isinstance(value, str) and not len(value)) or value == ""


def either(*rules):
    return lambda value: any(rule(value) for rule in rules)


def nothing(value):
    return value is None


def never(value):
    return False


def free(value):
    return True


@functools.cache
def model():
    """A dense model with all that the functions look for."""
    return keras.Sequential(
        [
            keras.Input((6, 6, 3)),
            keras.layers.Conv2D(8, 3, padding="same", name="first"),
            keras.layers.BatchNormalization(name="norm"),
            keras.layers.Conv2D(8, 3, name="second"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(4, name="classifier"),
        ]
    )


@functools.cache
def sparse():
    return keras_ssc.sparsify(model(), 0.8)


@functools.cache
def masked():
    return pruning.apply_masks(model(), pruning.random_uniform(model(), 0.5))


SHAPES = [keras_ssc.LayerShape(f"conv{i}", 64, 64, (3, 3)) for i in range(3)]
RULES = {
    "shift": among("cyclic", "block"), "parity": among("halves", "alternate"),
    "dense_taps": truth, "set_offset": ints(0),
}  # fmt: skip
SPARSITY = between(0, 1, ends=False)
NETWORK = {"model": never, "sparsity": either(between(0, 0.9999)), "dense": names, "seed": ints(0)}
KEEP = NETWORK | {"keep": either(nothing, ints(1))}
REWIRING = {
    "update_every": either(nothing, ints(1)), "stop": lambda v: between(0, 1)(v) and v > 0,
    "total_steps": either(nothing, ints(1)), "seed": ints(0),
}  # fmt: skip


def correlations(layers):
    callback = keras_ssc.callbacks.FilterCorrelation(layers)
    callback.set_model(model())
    return callback.correlations()


def normalised(activation):
    return keras_ssc.layers.FusedBatchNormalization(activation=activation).get_config()


# name: (function, legal arguments, {argument: rule of what is legal}).
CASES = {
    "SSCPattern": (
        keras_ssc.SSCPattern,
        {"in_channels": 8, "filters": 8, "kernel_size": 3, "g": 4, "p": 2},
        RULES | {"in_channels": ints(4), "filters": ints(1), "g": ints(0, 8), "p": ints(0, 6)},
    ),
    "choose_pattern": (
        keras_ssc.choose_pattern,
        {"in_channels": 16, "filters": 16, "kernel_size": 3, "sparsity": 0.8},
        RULES | {"in_channels": ints(1), "filters": ints(1), "sparsity": SPARSITY},
    ),
    "choose_network": (
        keras_ssc.choose_network,
        {"layers": SHAPES, "sparsity": 0.9},
        {"layers": never, "sparsity": SPARSITY, "mac_share": nothing,
         "parity": RULES["parity"], "distribution": among("auto", "uniform", "per_filter")},
    ),
    "SoftOrthogonality": (
        keras_ssc.regularizers.SoftOrthogonality, {"factor": 0.1}, {"factor": between(0, 1e38)},
    ),
    "DoubleSoftOrthogonality": (
        keras_ssc.regularizers.DoubleSoftOrthogonality, {"factor": 1},
        {"factor": between(0, 1e38)},
    ),
    "FilterCorrelation": (correlations, {"layers": None}, {"layers": names}),
    "FusedBatchNormalization": (
        normalised, {"activation": None}, {"activation": either(nothing, among("relu"))},
    ),
    "conversion_plan": (
        lambda model, **options: keras_ssc.conversion_plan(model, **options),
        {"model": model, "sparsity": 0.8},
        {"model": never, "sparsity": SPARSITY, "keep": either(callable, names), "dense": truth,
         "shift": RULES["shift"], "parity": RULES["parity"]},
    ),
    "sparsify": (
        keras_ssc.sparsify,
        {"model": model, "sparsity": 0.8},
        {"model": never, "sparsity": SPARSITY, "keep": either(callable, names),
         "from_dense": truth, "dense": truth, "shift": RULES["shift"], "parity": RULES["parity"],
         "execution": among("auto", "dense", "grouped", "gather", "native")},
    ),
    "densify": (keras_ssc.densify, {"model": sparse}, {"model": never}),
    "fold": (keras_ssc.fold, {"model": sparse}, {"model": never}),
    "summary": (keras_ssc.summary, {"model": sparse}, {"model": never}),
    "export": (
        keras_ssc.export,
        {"model": sparse, "path": "nowhere/model.keras", "format": "keras"},
        {"model": never, "path": never, "format": never, "overwrite": truth,
         "tolerance": either(nothing, between(0, math.inf)), "quantize": nothing},
    ),
    "uniform_counts": (pruning.uniform_counts, {"model": model, "sparsity": 0.5}, KEEP),
    "erk_counts": (pruning.erk_counts, {"model": model, "sparsity": 0.5}, KEEP),
    "smart_ratio_counts": (
        pruning.smart_ratio_counts, {"model": model, "sparsity": 0.5}, KEEP | {"vgg": truth},
    ),
    "random_uniform": (pruning.random_uniform, {"model": model, "sparsity": 0.5}, KEEP),
    "random_erk": (pruning.random_erk, {"model": model, "sparsity": 0.5}, KEEP),
    "smart_ratio": (
        pruning.smart_ratio, {"model": model, "sparsity": 0.5}, KEEP | {"vgg": truth},
    ),
    "magnitude": (
        pruning.magnitude, {"model": model, "sparsity": 0.5},
        KEEP | {"scope": among("global", "layer", "filter")},
    ),
    "semi_structured": (
        pruning.semi_structured, {"model": model, "n": 1, "m": 2},
        {"model": never, "n": ints(1, 1), "m": ints(2), "dense": KEEP["dense"]},
    ),
    "synflow": (
        pruning.synflow, {"model": model, "sparsity": 0.5, "rounds": 2},
        KEEP | {"rounds": ints(1)},
    ),
    "apply_masks": (
        pruning.apply_masks, {"model": model, "masks": {}},
        {"model": never, "masks": lambda value: value in ({}, None), "interspace": truth},
    ),
    "set_masks": (
        pruning.set_masks, {"model": masked, "masks": {}},
        {"model": never, "masks": lambda value: value == {}},
    ),
    "read_masks": (pruning.read_masks, {"model": masked}, {"model": never}),
    "live_weights": (pruning.live_weights, {"model": masked}, {"model": never}),
    "remove_masks": (pruning.remove_masks, {"model": masked}, {"model": never}),
    "l1_filters": (
        pruning.l1_filters, {"model": model, "fraction": 0.5},
        {"model": never, "fraction": between(0, 1, ends=False)},
    ),
    "remove_filters": (
        pruning.remove_filters, {"model": model, "kept": {"first": [0, 1]}},
        {"model": never, "kept": lambda value: value == {}},
    ),
    "slimming": (
        pruning.slimming, {"model": model}, {"model": never, "strength": between(0, 1e38)},
    ),
    "slimmable": (
        pruning.slimmable, {"model": model, "steps": 4},
        {"model": never, "steps": ints(1), "narrowest": between(0, 1, ends=False),
         "samples": ints(0), "seed": ints(0)},
    ),
    "slim": (
        pruning.slim, {"model": model, "fraction": 0.5},
        {"model": never, "fraction": between(0, 1, ends=False)},
    ),
    "samples_per_class": (
        pruning.samples_per_class,
        {"images": np.zeros((8, 2, 2, 1)), "labels": np.arange(8) % 2, "count": 2},
        {"images": never, "labels": never, "count": ints(1, 4), "seed": ints(0)},
    ),
    "Rewiring": (pruning.Rewiring, {}, REWIRING),
    "GradualMagnitude": (
        pruning.GradualMagnitude, {"sparsity": 0.9},
        {"sparsity": SPARSITY, "initial_sparsity": between(0, 0.9), "start": between(0, 0.4999)}
        | {name: rule for name, rule in REWIRING.items() if name != "seed"},
    ),
    "SET": (pruning.SET, {}, REWIRING | {"drop_fraction": SPARSITY}),
    "DSR": (
        pruning.DSR, {},
        REWIRING | {"threshold": between(0, 1e38), "target_fraction": SPARSITY,
                    "slow_down": names},
    ),
    "DeepR": (
        pruning.DeepR, {},
        REWIRING | {"l1": between(0, 1e38), "temperatures": never, "cooling": never},
    ),
    "RigL": (
        pruning.RigL, {"data": (np.zeros((2, 6, 6, 3)), np.zeros(2))},
        REWIRING | {"data": never, "drop_fraction": SPARSITY, "anneal": truth,
                    "batch_size": ints(1)},
    ),
}  # fmt: skip


def heavy(value):
    """Sizes between what is quick to compute with and what is refused at once."""
    return isinstance(value, numbers.Integral) and 300 < abs(int(value)) < 2**31


@budget(400)
@given(st.sampled_from(list(CASES)), st.data())
@finding
def test_a_wrong_argument_is_refused_by_name(case, data):
    function, legal, rules = CASES[case]
    name = data.draw(st.sampled_from(list(rules)))
    value = data.draw(hostile().filter(lambda one: not heavy(one)))
    arguments = {
        key: one() if hasattr(one, "cache_info") else one
        for key, one in legal.items()
    } | {name: value}  # fmt: skip
    if callable(value) and name == "keep":
        return  # a function of one's own
    if name == "rounds" and isinstance(value, numbers.Integral) and value > 300:
        return  # legal, and endless
    if name == "keep":
        arguments.pop("sparsity", None)
    if name not in inspect.signature(function).parameters and name in NETWORK:
        return
    _, error = refusal(function, **arguments)
    if error is None:
        assert rules[name](value), f"{case} takes {name}={value!r}"
        count("functions", "legal")
    else:
        clashes = {"sparsity", "keep"} if name in ("sparsity", "keep") else set()
        clashes |= {"sparsity"} if case == "choose_pattern" else set()
        # A legal value of `tolerance` or `overwrite`: the path is what is wrong then.
        clashes |= {"path"} if case == "export" and rules[name](value) else set()
        refused("functions", error, {name, *clashes}, (case, name, value))


@pytest.mark.parametrize("case", CASES)
def test_the_legal_arguments_are_legal(case):
    function, legal, _ = CASES[case]
    arguments = {key: one() if hasattr(one, "cache_info") else one for key, one in legal.items()}
    refusing = pytest.raises(ValueError, match="folder") if case == "export" else nullcontext()
    with refusing:
        function(**arguments)
