"""SSCConv2D under any arguments and inputs: it computes exactly what was asked, or refuses by name.

Weights and images are small integers: sums are exact in every precision, so outputs must be
equal to the slow reference to the last bit.
"""

import json

import keras
import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st
from misuse import budget, count, finding, hostile, refusal, refused
from settings import layers

from keras_ssc import SSCConv2D

pytestmark = pytest.mark.fuzz

POLICIES = ["float32", "float64", "float16", "bfloat16", "mixed_float16", "mixed_bfloat16"]
EXECUTIONS = ["auto", "dense", "grouped", "gather", "native"]
ARGUMENTS = [
    "filters", "kernel_size", "strides", "padding", "data_format", "dilation_rate", "activation",
    "use_bias", "kernel_initializer", "bias_initializer", "kernel_regularizer", "bias_regularizer",
    "activity_regularizer", "kernel_constraint", "bias_constraint", "g", "p", "sparsity", "shift",
    "parity", "dense_taps", "set_offset", "execution", "dtype", "name", "trainable",
]  # fmt: skip
# What a wrong one of these can clash with.
CLASHES = {"strides": ["dilation_rate"], "dilation_rate": ["strides"], "sparsity": ["g", "p"]}


@st.composite
def legal(draw):
    """(arguments of a legal layer, input shape, the same without data_format)."""
    pattern, geometry, sizes, batch = draw(layers())
    channels = pattern.pop("in_channels")
    first = draw(st.integers(0, 3)) == 0
    arguments = pattern | geometry | {
        "data_format": "channels_first" if first else "channels_last",
        "activation": draw(st.sampled_from([None, "linear", "relu", keras.activations.relu])),
        "use_bias": draw(st.booleans()),
        "execution": draw(st.sampled_from(EXECUTIONS)),
        "dtype": draw(st.sampled_from(["float32", *POLICIES])),
    }  # fmt: skip
    batch = draw(st.sampled_from([batch, batch, 0]))
    return arguments, (batch, *sizes, channels)


def whole_numbers(shape, seed):
    return np.random.default_rng(seed).integers(-1, 2, shape).astype("float64")


def as_given(shape, arguments):
    """The shape in the layer's own data format."""
    batch, *sizes, channels = shape
    first = arguments["data_format"] == "channels_first"
    return (batch, channels, *sizes) if first else shape


def expected(x, kernel, bias, a):
    y = reference.convolution(
        x, kernel, bias, a["strides"], a["padding"], a["dilation_rate"]
    )  # fmt: skip
    if a["activation"] in ("relu", keras.activations.relu):
        y = np.maximum(y, 0)
    return y.transpose(0, 3, 1, 2) if a["data_format"] == "channels_first" else y


def check_exact(layer, a, shape, seed=0):
    """Compare a layer with the reference for what was asked, bit by bit; it is built here."""
    layer.build((None, *as_given(shape, a)[1:]))
    pattern = layer.pattern
    kernel_size, rules = a["kernel_size"], (a["g"], a["p"], a["shift"], a["parity"])
    mask = reference.mask(
        shape[-1], a["filters"], kernel_size, *rules, a["dense_taps"], a["set_offset"]
    )
    kernel = whole_numbers(mask.shape, seed) * mask
    flat = kernel.reshape(-1)
    weights = [flat[pattern.flat_indices(where, n)] for _, where, n in pattern.matrices]
    bias = whole_numbers(a["filters"], seed + 1) * a["use_bias"]
    layer.set_weights([*weights, bias] if a["use_bias"] else weights)
    x = whole_numbers(shape, seed + 2)
    given_x = x.transpose(0, 3, 1, 2) if a["data_format"] == "channels_first" else x
    y = keras.ops.convert_to_numpy(keras.ops.cast(layer(given_x), "float64"))
    want = expected(x, kernel, bias, a)
    if np.array_equal(y, want) or plain_is_exact(x, kernel, a):
        np.testing.assert_array_equal(y, want)
    else:
        count("TensorFlow's Conv2D", "wrong, and so is ours")
    assert tuple(y.shape) == layer.compute_output_shape(given_x.shape)
    return given_x, y


def plain_is_exact(x, kernel, a):
    """Whether the backend's own convolution is right here.

    TensorFlow 2.21 with oneDNN is not for one input channel, few columns and strides (1, s > 1):
    it adds what lies beside the image, in float32 and bfloat16, in keras.layers.Conv2D too.
    """
    geometry = {"strides": a["strides"], "padding": a["padding"]}
    rates = {"dilation_rate": a["dilation_rate"]}
    y = keras.ops.conv(x.astype("float32"), kernel.astype("float32"), **geometry, **rates)
    plain = a | {"activation": None, "data_format": "channels_last"}
    return np.array_equal(keras.ops.convert_to_numpy(y), expected(x, kernel, 0, plain))


def check_round_trip(layer, x, y):
    """The layer made anew from JSON is the same layer."""
    words = json.dumps(keras.saving.serialize_keras_object(layer))
    again = keras.saving.deserialize_keras_object(json.loads(words))
    assert again.get_config() == layer.get_config()
    if not again.built:
        again.build((None, *x.shape[1:]))
    again.set_weights(layer.get_weights())
    found = keras.ops.convert_to_numpy(keras.ops.cast(again(x), "float64"))
    np.testing.assert_array_equal(found, y)


@budget(40)
@given(legal(), st.integers(0, 2**31))
@finding
def test_legal_arguments_work_exactly_and_come_back_from_a_file(case, seed):
    arguments, shape = case
    layer = SSCConv2D(**arguments)
    x, y = check_exact(layer, arguments, shape, seed)
    check_round_trip(layer, x, y)
    count("layer, legal", "exact" if shape[0] else "exact, empty batch")


def understood(arguments, wrong):
    """The arguments as a reader would understand them; None where there is only one way: no."""
    a = dict(arguments)
    try:
        for name in ("kernel_size", "strides", "dilation_rate"):
            if not isinstance(a[name], (tuple, list)):
                a[name] = (a[name], a[name])
            a[name] = tuple(_whole(side) for side in a[name])
            assert len(a[name]) == 2
        for name in ("filters", "g", "p", "set_offset"):
            a[name] = _whole(a[name])
        for name in ("use_bias", "dense_taps"):
            assert isinstance(a[name], bool)
        for name in ("padding", "shift", "parity", "execution", "data_format"):
            a[name] = a[name].lower()
    except (AssertionError, AttributeError, TypeError):
        return None
    return a


def _whole(value):
    assert isinstance(value, (int, np.integer, np.ndarray))
    assert not isinstance(value, (bool, np.bool_))
    return int(value)


# Functions and classes of one's own are legal here; what they do is not ours.
OBJECTS = {"activation", *(name for name in ARGUMENTS if name.endswith(("izer", "constraint")))}

# What the reference does not know.
OPAQUE = OBJECTS | {"sparsity", "dtype", "name", "trainable"}


def wrong():
    """One or two arguments with hostile values."""
    drawn = st.dictionaries(st.sampled_from(ARGUMENTS), hostile(), min_size=1, max_size=2)
    return drawn.filter(
        lambda found: not any(name in OBJECTS and callable(found[name]) for name in found)
    )


@budget(150)
@given(legal(), wrong())
@finding
def test_wrong_arguments_are_refused_by_name_or_understood(case, wrong):
    arguments, shape = case
    received = arguments | wrong
    names = {*wrong, *(name for one in wrong for name in CLASHES.get(one, ()))}
    names |= {"initializer"} if any("initializer" in name for name in wrong) else set()
    layer, error = refusal(SSCConv2D, **received)
    if error is not None:
        refused("layer, arguments", error, names, received)
        return
    config, error = refusal(layer.get_config)
    if error is not None:
        refused("layer, arguments", error, names, received)
        return
    _, error = refusal(layer.build, (None, *as_given(shape, arguments | config)[1:]))
    if error is not None:
        # The pattern of the given sizes may not fit any more: the message says which rule.
        refused("layer, arguments", error, {*names, "g", "p", "kernel_size"}, received)
        return
    again = SSCConv2D.from_config(config)
    assert again.get_config() == config
    json.dumps(keras.saving.serialize_keras_object(layer))
    if not wrong.keys() & OPAQUE:
        meant = understood(received | ({"data_format": layer.data_format}), wrong)
        assert meant is not None, f"accepted, but what it means is open: {received}"
        check_exact(again, meant, shape)
        count("layer, arguments", "exact")
    else:
        x = np.zeros((2, *as_given(shape, arguments | config)[1:]))
        _, error = refusal(layer, x)
        if error is not None:
            refused("layer, arguments", error, names, received)
            return
        count("layer, arguments", "understood, finite")


SIZES = st.one_of(st.integers(0, 7), st.sampled_from([None, -1, 2.0, "3", 10**12, True, np.nan]))


@st.composite
def changed(draw, shape):
    """A shape with one or two sizes changed, or any shape."""
    if draw(st.booleans()):
        return tuple(draw(st.lists(SIZES, max_size=6)))
    shape = list(shape)
    for _ in range(draw(st.integers(0, 2))):
        shape[draw(st.integers(0, 3))] = draw(st.one_of(st.none(), SIZES))
    return tuple(shape)


@budget(60)
@given(legal(), st.data(), st.sampled_from(["build", "compute_output_shape"]))
@finding
def test_any_shape_is_taken_or_refused_by_name(case, data, method):
    arguments, shape = case
    shape = data.draw(changed(as_given(shape, arguments)))
    layer = SSCConv2D(**arguments)
    _, error = refusal(getattr(layer, method), shape)
    if error is not None:
        names = {"shape", "channel", "g", "p", "in_channels", "kernel", "inputs"}
        refused("layer, shapes", error, names, (arguments, method, shape))
        return
    assert len(shape) == 4
    assert all(one is None or (type(one) is int and one >= 0) for one in shape)
    count("layer, shapes", "taken")


@budget(60)
@given(legal(), st.data(), st.booleans())
@finding
def test_any_input_is_convolved_or_refused_by_name(case, data, built):
    arguments, shape = case
    given_shape = as_given(shape, arguments)
    layer = SSCConv2D(**arguments)
    if built:
        layer.build((None, *as_given((None, None, None, shape[-1]), arguments)[1:]))
    sizes = [
        one if type(one) is int and 0 <= one < 20 else 2 for one in data.draw(changed(given_shape))
    ]
    dtypes = ["float32", "float64", "int32", "uint8", "bool", "complex64", "U"]
    x = np.ones(sizes).astype(data.draw(st.sampled_from(dtypes)))
    x = data.draw(hostile()) if data.draw(st.integers(0, 3)) == 0 else x
    y, error = refusal(layer, x)
    if error is not None:
        # "Only input tensors may be passed": Keras's own words.
        names = {"inputs", "input", "shape", "channel", "in_channels", "g", "p", "kernel", "Inputs"}
        refused("layer, inputs", error, names, (arguments, x))
        return
    assert np.isfinite(keras.ops.convert_to_numpy(keras.ops.cast(y, "float64"))).all()
    assert tuple(y.shape) == layer.compute_output_shape(np.shape(x))
    again = keras.ops.convert_to_numpy(keras.ops.cast(layer(x.astype("float64")), "float64"))
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(keras.ops.cast(y, "float64")), again)
    count("layer, inputs", "convolved")


@pytest.mark.parametrize("execution", EXECUTIONS)
def test_a_residual_of_another_shape_is_refused(execution):
    layer = SSCConv2D(8, 3, g=4, p=2, padding="same", execution=execution)
    x = np.ones((2, 5, 5, 8), "float32")
    layer(x, residual=x)
    for shape in ((1, 1, 1, 8), (2, 5, 5, 1), (2, 5, 4, 8), (8,)):
        with pytest.raises(ValueError, match="`residual`"):
            layer(x, residual=np.ones(shape, "float32"))


@pytest.mark.parametrize("execution", EXECUTIONS)
def test_batches_that_end_ragged_or_empty(execution):
    model = keras.Sequential(
        [keras.Input((6, 6, 8)), SSCConv2D(8, 3, g=4, p=2, activation="relu", execution=execution)]
    )
    x = np.random.default_rng(0).normal(size=(7, 6, 6, 8)).astype("float32")
    whole = keras.ops.convert_to_numpy(model(x))
    np.testing.assert_allclose(model.predict(x, batch_size=3, verbose=0), whole, atol=1e-6)
    assert tuple(model(x[:0]).shape) == (0, 4, 4, 8)
