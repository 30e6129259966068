"""All executions, values and gradients, against the NumPy reference."""

import os

import keras
import numpy as np
import pytest
import reference
from gradients import value_and_gradients
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from settings import layers

from keras_ssc import SSCConv2D, SSCPattern
from keras_ssc.execution import choose

pytestmark = pytest.mark.backends

ON_JAX = keras.backend.backend() == "jax"
FLOAT64 = not ON_JAX or os.environ.get("JAX_ENABLE_X64") in ("1", "true", "True")
TOLERANCE = {"float32": 1e-5, "float64": 1e-12}


EXECUTIONS = ["dense", "grouped", "gather"] + ([] if ON_JAX else ["native"])


def examples(count):
    """Generated settings a test; fewer on JAX, which takes seconds to compile each.

    The first one is the smallest of all, so at least two.
    """
    return hypothesis_settings(max_examples=2 if ON_JAX else count)


def close(actual, expected, dtype):
    """Relative to the largest entry: sums of many terms lose their small entries to rounding."""
    actual = keras.ops.convert_to_numpy(actual)
    assert actual.shape == expected.shape
    scale = max(np.abs(expected).max(initial=0.0), 1e-3)
    np.testing.assert_allclose(actual / scale, expected / scale, atol=TOLERANCE[dtype])


def wrong_in_tensorflow(layer, x):
    """Whether TensorFlow's own convolution, that of a plain Conv2D too, may compute this wrong.

    With oneDNN, one filter and one column of output, it reads wrong rows where the stride of rows
    is the smaller one (seen in TensorFlow 2.21).
    """
    axis = 2 if layer.data_format == "channels_last" else 3
    columns = layer.compute_output_shape(x.shape)[axis]
    return not ON_JAX and columns == 1 and layer.strides[0] < layer.strides[1]


def check_layer(pattern, geometry, size, batch, executions, dtype, data_format, seed):
    """Values and gradients of a layer in each of the executions are those of the reference."""
    random = np.random.default_rng(seed)
    M, N, K, *rules = pattern.values()
    mask = reference.mask(M, N, K, *rules)
    x, bias = random.normal(size=(batch, *size, M)), random.normal(size=N)
    kernel = random.normal(size=mask.shape) * mask
    steps = (geometry["strides"], geometry["padding"], geometry["dilation_rate"])
    expected = reference.convolution(x, kernel, bias, *steps)
    dy = random.normal(size=expected.shape)
    slopes = reference.convolution_gradients(x, kernel, dy, *steps)
    arguments = {**pattern, **geometry, "dtype": dtype, "data_format": data_format}
    del arguments["in_channels"]
    for execution in executions:
        layer = SSCConv2D(**arguments, execution=execution)
        check_execution(layer, mask, x, kernel, bias, dy, expected, slopes)


def check_execution(layer, mask, x, kernel, bias, dy, expected, slopes):
    dtype, data_format, (batch, *_) = layer.compute_dtype, layer.data_format, x.shape
    N = layer.filters
    own = x if data_format == "channels_last" else x.transpose(0, 3, 1, 2)
    layer.build(own.shape)
    if layer.execution != "native" and wrong_in_tensorflow(layer, own):
        return
    assert layer.count_params() == mask.sum() + N
    set_kernel(layer, kernel)
    layer.bias.assign(bias)
    close(layer.kernel, kernel.astype(dtype), dtype)

    dx, dkernel, dbias = slopes
    own_dy = dy if data_format == "channels_last" else dy.transpose(0, 3, 1, 2)
    y, x_gradient, gradients = value_and_gradients(layer, own.astype(dtype), own_dy.astype(dtype))
    if data_format == "channels_first":
        y, x_gradient = (np.transpose(tensor, (0, 2, 3, 1)) for tensor in (y, x_gradient))
    assert tuple(layer.compute_output_shape(own.shape)) == (
        expected.shape if data_format == "channels_last" else (batch, N, *expected.shape[1:3])
    )
    close(y, expected, dtype)
    close(x_gradient, dx, dtype)
    *matrix_gradients, bias_gradient = gradients
    close(bias_gradient, dbias, dtype)
    for gradient, (_, positions, filters) in zip(
        matrix_gradients, layer.pattern.matrices, strict=True
    ):
        close(gradient, dkernel.reshape(-1)[layer.pattern.flat_indices(positions, filters)], dtype)


def set_kernel(layer, kernel):
    """Give the layer's live weights the values of a dense kernel."""
    for variable, (_, positions, filters) in zip(
        layer.trainable_variables, layer.pattern.matrices, strict=False
    ):
        variable.assign(kernel.reshape(-1)[layer.pattern.flat_indices(positions, filters)])


@examples(64)
@given(layers())
def test_equals_the_reference_in_float32(case):
    check_layer(*case, EXECUTIONS, "float32", "channels_last", seed=0)


@pytest.mark.skipif(not FLOAT64, reason="JAX without JAX_ENABLE_X64 has no float64")
@examples(24)
@given(layers())
def test_equals_the_reference_in_float64(case):
    check_layer(*case, EXECUTIONS, "float64", "channels_last", seed=1)


@examples(24)
@given(layers())
def test_equals_the_reference_channels_first(case):
    check_layer(*case, EXECUTIONS, "float32", "channels_first", seed=2)


GROUPABLE = {
    "p divides g - 1": {"g": 4, "p": 3},
    "p > g": {"g": 4, "p": 6},
    "no 1x1": {"g": 4, "p": 0},
    "g = M": {"g": 16, "p": 5},
    "set offset": {"g": 4, "p": 3, "set_offset": 1},
    "block": {"g": 4, "p": 3, "shift": "block"},
    "ragged classes": {"g": 8, "p": 2, "filters": 13},
    "fewer filters than classes": {"g": 16, "p": 5, "filters": 3},
    "dense taps": {"g": 2, "p": 1, "dense_taps": True},
    "even kernel": {"g": 4, "p": 2, "kernel_size": (4, 4)},
    "rectangle": {"g": 4, "p": 2, "kernel_size": (1, 3)},
}
GEOMETRY = {
    "same": {"padding": "same"},
    "valid": {"padding": "valid"},
    "same stride 2": {"padding": "same", "strides": (2, 2)},
    "valid stride 2": {"padding": "valid", "strides": (2, 2)},
    "same dilation 2": {"padding": "same", "dilation_rate": (2, 2)},
    "valid dilation 2": {"padding": "valid", "dilation_rate": (2, 2)},
}


GATHERABLE = {
    name: GROUPABLE[name]
    for name in ("p divides g - 1", "no 1x1", "dense taps", "even kernel", "rectangle")
} | {
    "one filter a class": {"g": 8, "p": 3},
    "more channels than q": {"g": 8, "p": 3, "in_channels": 36},
    "no KxK": {"g": 0, "p": 2},
    "1x1 filters": {"g": 0, "p": 4, "kernel_size": (1, 1)},
    "alternate": {"g": 4, "p": 3, "parity": "alternate"},
    "block": {"g": 8, "p": 3, "shift": "block"},
}
DEFAULTS = {"in_channels": 16, "filters": 16, "kernel_size": (3, 3), "g": 0, "p": 0}
RULES = {"shift": "cyclic", "parity": "halves", "dense_taps": False, "set_offset": 0}


def pairs(patterns):
    """Each pattern with each geometry; in turns, two of six run with every change."""
    return [
        pytest.param(pattern, geometry, marks=[] if (i + j) % 3 == 0 else pytest.mark.campaign)
        for i, pattern in enumerate(patterns)
        for j, geometry in enumerate(GEOMETRY)
    ]


def really_serves(execution, pattern, geometry):
    """The form is chosen, and right."""
    pattern = DEFAULTS | RULES | pattern
    geometry = {"strides": (1, 1), "dilation_rate": (1, 1)} | GEOMETRY[geometry]
    settings = {name: geometry[name] for name in ("strides", "padding")}
    form, _ = choose(execution, SSCPattern(**pattern), **settings, sizes=(8, 9))
    assert form == execution
    check_layer(pattern, geometry, (8, 9), 2, [execution], "float32", "channels_last", seed=3)


@pytest.mark.parametrize(("pattern", "geometry"), pairs(GROUPABLE))
def test_grouped_really_groups(pattern, geometry):
    really_serves("grouped", GROUPABLE[pattern], geometry)


@pytest.mark.parametrize(("pattern", "geometry"), pairs(GATHERABLE))
def test_gather_really_gathers(pattern, geometry):
    really_serves("gather", GATHERABLE[pattern], geometry)


@pytest.mark.parametrize(
    ("pattern", "sizes", "geometry", "words"),
    [
        (SSCPattern(16, 16, 3, 0, 2), (8, 8), {}, "g = 0"),
        (SSCPattern(16, 16, 3, 1, 0), (8, 8), {}, "g = 1"),
        (SSCPattern(16, 16, 3, 5, 2), (8, 8), {}, "does not divide the 16"),
        (SSCPattern(16, 16, 3, 4, 2), (None, 8), {"strides": (2, 2)}, "unknown input size"),
    ],
)
def test_grouped_gives_way_to_dense_and_says_why(pattern, sizes, geometry, words):
    settings = {"strides": (1, 1), "padding": "same", "sizes": sizes} | geometry
    form, why = choose("grouped", pattern, **settings)
    assert form == "dense"
    assert words in why


def test_gather_gives_way_to_dense_and_says_why():
    settings = {"strides": (1, 1), "padding": "same", "sizes": (8, 8)}
    form, why = choose("gather", SSCPattern(16, 16, 3, 8, 3), **settings)
    assert (form, why) == ("gather", "asked for")
    form, why = choose("gather", SSCPattern(16, 12, 3, 4, 3), **settings)
    assert form == "dense"
    assert "unequally many filters" in why


@pytest.mark.parametrize(
    ("pattern", "dtype", "words"),
    [
        ({"g": 8, "p": 3}, "bfloat16", ["float32, not bfloat16", "dense: faster below 64"]),
        ({"g": 8, "p": 3}, "float64", ["float32, not float64", "dense: faster below 64"]),
        ({"g": 5, "p": 2}, "float16", ["not float16", "dense: g = 5 does not divide the 16"]),
        ({"g": 4, "p": 3}, "float16", ["float32, not float16", "dense: faster below 64 channels"]),
    ],
)
def test_auto_says_what_kept_the_native_form_away(pattern, dtype, words):
    settings = {"strides": (1, 1), "padding": "same", "sizes": (8, 8), "dtype": dtype}
    form, why = choose("auto", SSCPattern(16, 16, 3, **pattern), **settings)
    assert form == "dense"
    assert all(word in why for word in words), why


@pytest.mark.skipif(ON_JAX, reason="TensorFlow's contexts")
@pytest.mark.usefixtures("compiler")
def test_auto_says_where_it_was_traced():
    import tensorflow as tf

    layer, found = SSCConv2D(16, 3, g=8, p=3), {}
    layer.build((None, 8, 8, 16))

    def traced(x, name):
        found[name] = layer.execution_report((8, 8))
        return layer(x)

    x = tf.zeros((1, 8, 8, 16))
    tf.function(lambda x: traced(x, "called"))(x)
    tf.function(lambda x: traced(x, "XLA"), jit_compile=True)(x)
    tf.function(lambda x: traced(x, "exported")).get_concrete_function(x)
    assert found["called"]["used"] == "native"
    for name in ("XLA", "exported"):
        assert found[name]["used"] == "dense"
        assert name in found[name]["why"]
