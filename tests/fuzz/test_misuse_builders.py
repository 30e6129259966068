"""Every builder of keras_ssc.applications at its limits: a network comes out, or a clear word."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from misuse import TIMES, budget, count, finding, hostile, refusal, refused

from keras_ssc import applications

pytestmark = pytest.mark.fuzz

BUILDERS = applications.__all__
every_builder = pytest.mark.parametrize("name", BUILDERS)
POINTWISE = ("MobileNetV2", "ShuffleNetV2")
# The shallowest of each kind: quick to build.
QUICK = ["VGG11", "ResNet20", "ResNet18"]
# The others are built by hand, with `make fuzz`: that takes minutes.
BUILT = ["ResNet20"] if TIMES == 1 else BUILDERS


def build(name, **arguments):
    return getattr(applications, name)(**arguments)


def small(name):
    return {"g": 0 if name in POINTWISE else 2, "p": 2}


@every_builder
def test_sizes_from_1_to_224_give_a_network_or_a_word_about_the_size(name):
    """Over the table of shapes first, which is quick; a network is built at the ends."""
    fits = []
    for size in range(1, 225):
        _, error = refusal(_table_only, name, size)
        if error is None:
            fits.append(size)
        else:
            refused("builders, sizes", error, ["input_shape"], (name, size))
    assert fits == list(range(fits[0], 225))  # all from some size on
    count("builders, sizes", "planned")
    if name not in BUILT:
        return
    model = build(name, input_shape=(224, 224, 3), include_top=False, **small(name))
    assert all(one is None or one > 0 for one in model.output_shape)
    x = np.ones((1, fits[0], fits[0], 3), "float32")
    body = build(name, input_shape=(fits[0], fits[0], 3), **small(name))
    assert np.isfinite(keras.ops.convert_to_numpy(body(x))).all()


class _Planned(Exception):
    pass


def _table_only(name, size):
    """Run a builder until it begins to make layers."""
    from keras_ssc.applications import _builder

    def stop(*arguments, **options):
        raise _Planned

    kept, _builder.LayerBuilder = _builder.LayerBuilder, stop
    try:
        build(name, input_shape=(size, size, 3), **small(name))
    except _Planned:
        pass
    finally:
        _builder.LayerBuilder = kept


@pytest.mark.parametrize("name", BUILT)
def test_classes_from_1_to_21843(name):
    for classes in (1, 21_843):
        model = build(name, classes=classes, input_shape=(32, 32, 3), **small(name))
        assert model.output_shape == (None, classes)


ARGUMENTS = [
    "include_top", "weights", "input_tensor", "input_shape", "pooling", "classes",
    "classifier_activation", "sparsity", "g", "p", "distribution", "mixing", "pattern_for",
    "shift", "parity", "set_offset", "initial_scale", "execution", "sparse_classifier",
    "data_format", "dtype", "name", "width", "pools", "sparse_shortcuts", "fused",
]  # fmt: skip
CLASHES = {"sparsity": ["g", "p"], "g": ["p", "kernel_size", "in_channels"], "p": ["g"]}


@budget(15)
@given(st.sampled_from(QUICK), st.sampled_from(ARGUMENTS), hostile())
@finding
def test_wrong_arguments_are_refused_by_name(name, argument, value):
    if callable(value) and argument == "classifier_activation":
        return
    if isinstance(value, int) and 64 < value < 2**31 and argument in ("width", "classes"):
        return  # legal, and slow
    arguments = {"input_shape": (32, 32, 3), "g": 2, "p": 2, argument: value}
    if argument == "sparsity":
        del arguments["g"], arguments["p"]
    model, error = refusal(build, name, **arguments)
    if error is not None:
        refused("builders", error, [argument, *CLASHES.get(argument, ())], (name, argument, value))
        return
    assert isinstance(model, keras.Model)
    json = model.to_json()
    assert keras.models.model_from_json(json).count_params() == model.count_params()
    count("builders", "built")


@every_builder
@pytest.mark.parametrize(
    "sparsity", [float("nan"), float("inf"), -0.1, 1.0, 1 - 1e-12, "0.9", True]
)
def test_a_sparsity_that_is_none_is_refused_by_name(name, sparsity):
    with pytest.raises((TypeError, ValueError), match="sparsity"):
        build(name, sparsity=sparsity)
