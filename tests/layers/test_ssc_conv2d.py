"""SSCConv2D as a Keras layer: arguments, weights, config, files, refusals."""

import inspect
import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_ssc import SSCConv2D, SSCPattern, choose_pattern
from keras_ssc.initializers import DenseScale

pytestmark = pytest.mark.backends

ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
only_tensorflow = pytest.mark.skipif(not ON_TENSORFLOW, reason="TensorFlow is the subject")
EXECUTIONS = ["auto", "dense", "grouped"]


def images(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def test_arguments_are_those_of_conv2d():
    def arguments(layer):
        return {
            name: parameter.default
            for name, parameter in inspect.signature(layer.__init__).parameters.items()
            if name not in ("self", "kwargs")
        }

    conv, ours = arguments(keras.layers.Conv2D), arguments(SSCConv2D)
    # A groups argument would be a second word for the pattern.
    del conv["groups"]
    assert list(ours)[: len(conv)] == list(conv)
    assert all(ours[name] == conv[name] for name in conv)
    assert {name: ours[name] for name in list(ours)[len(conv) :]} == {
        "g": None,
        "p": None,
        "sparsity": None,
        "shift": "cyclic",
        "parity": "halves",
        "dense_taps": False,
        "set_offset": 0,
        "execution": "auto",
    }


def test_only_live_weights_exist():
    layer = SSCConv2D(64, 3, g=8, p=3)
    layer.build((None, 16, 16, 64))
    pattern = SSCPattern(64, 64, 3, 8, 3)
    assert layer.pattern == pattern
    assert layer.count_params() == pattern.weight_count + 64
    kernel = keras.ops.convert_to_numpy(layer.kernel)
    assert kernel.shape == (3, 3, 64, 64)
    np.testing.assert_array_equal(kernel != 0, pattern.mask())
    assert [v.name for v in layer.trainable_variables] == ["kernel_even", "kernel_odd", "bias"]


def test_one_matrix_where_the_two_lists_agree():
    layer = SSCConv2D(6, 1, g=0, p=2, use_bias=False)
    layer.build((None, 4, 4, 8))
    assert [tuple(v.shape) for v in layer.trainable_variables] == [(4, 6)]


@pytest.mark.parametrize("filters", [1, 2, 5])
def test_few_filters(filters):
    layer = SSCConv2D(filters, 3, g=4, p=3, padding="same")
    assert tuple(layer(images(1, 5, 5, 8)).shape) == (1, 5, 5, filters)
    assert layer.count_params() == layer.pattern.weight_count + filters


def test_sparsity_is_resolved_at_build_and_kept():
    layer = SSCConv2D(64, 3, sparsity=0.95)
    assert layer.get_config()["sparsity"] == 0.95
    layer.build((None, 8, 8, 64))
    chosen = choose_pattern(64, 64, 3, sparsity=0.95)
    config = layer.get_config()
    assert (config["g"], config["p"], config["sparsity"]) == (chosen.g, chosen.p, None)
    again = SSCConv2D.from_config(config)
    again.build((None, 8, 8, 64))
    assert again.pattern == layer.pattern


def test_without_g_p_or_sparsity_it_removes_nine_tenths():
    layer = SSCConv2D(64, 3)
    assert layer.sparsity == 0.9
    layer.build((None, 8, 8, 64))
    assert layer.pattern.sparsity == pytest.approx(0.9, abs=0.01)


def test_config_round_trip_keeps_every_argument():
    settings = {
        "filters": 6, "kernel_size": (3, 5), "strides": (2, 1), "padding": "same",
        "data_format": "channels_last", "dilation_rate": (1, 1), "activation": "relu",
        "use_bias": False, "kernel_initializer": "he_normal", "bias_initializer": "ones",
        "kernel_regularizer": "l2", "bias_regularizer": "l1", "activity_regularizer": "l2",
        "kernel_constraint": "non_neg", "bias_constraint": "non_neg", "g": 4, "p": 1,
        "shift": "cyclic", "parity": "alternate", "dense_taps": True, "set_offset": 3,
        "execution": "dense", "name": "ours", "trainable": False, "dtype": "float32",
    }  # fmt: skip
    missing = set(inspect.signature(SSCConv2D.__init__).parameters) - set(settings)
    assert missing == {"self", "kwargs", "sparsity"}
    layer = SSCConv2D(**settings)
    again = SSCConv2D.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    for name in ("filters", "kernel_size", "strides", "g", "p", "parity", "set_offset", "name"):
        assert getattr(again, name) == settings[name]


@pytest.mark.parametrize(
    "execution",
    [
        "auto",
        *(pytest.param(one, marks=pytest.mark.campaign) for one in EXECUTIONS if one != "auto"),
    ],
)
def test_file_round_trip_in_a_fresh_process(tmp_path, execution):
    model = keras.Sequential(
        [
            keras.Input((9, 9, 8)),
            SSCConv2D(8, 3, sparsity=0.8, padding="same", activation="relu", execution=execution),
            SSCConv2D(4, 3, g=4, p=2, strides=2, shift="block"),
        ]
    )
    x = images(2, 9, 9, 8)
    np.save(tmp_path / "x.npy", x)
    model.save(tmp_path / "model.keras")
    expected = keras.ops.convert_to_numpy(model(x))
    program = (
        "import sys, numpy as np, keras, keras_ssc\n"
        "model = keras.models.load_model(sys.argv[1] + '/model.keras')\n"
        "y = keras.ops.convert_to_numpy(model(np.load(sys.argv[1] + '/x.npy')))\n"
        "np.save(sys.argv[1] + '/y.npy', y)"
    )
    subprocess.run([sys.executable, "-c", program, tmp_path], check=True, capture_output=True)
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), expected, atol=1e-6)


def test_initial_weights_have_the_true_fan():
    layer = SSCConv2D(256, 3, g=8, p=3, kernel_initializer="he_normal", use_bias=False)
    layer.build((None, 8, 8, 256))
    live = np.concatenate([np.ravel(v) for v in layer.get_weights()])
    fan_in = layer.pattern.density * 9 * 256
    assert live.std() == pytest.approx(np.sqrt(2 / fan_in), rel=0.02)

    dense_scale = SSCConv2D(256, 3, g=8, p=3, kernel_initializer=DenseScale("he_normal"))
    dense_scale.build((None, 8, 8, 256))
    live = np.ravel(dense_scale.get_weights()[0])
    assert live.std() == pytest.approx(np.sqrt(2 / (9 * 256)), rel=0.02)


def test_initial_weights_are_the_live_entries_of_the_dense_draw():
    layer = SSCConv2D(6, 3, g=4, p=2, kernel_initializer=keras.initializers.RandomNormal(seed=3))
    layer.build((None, 5, 5, 8))
    dense = keras.ops.convert_to_numpy(keras.initializers.RandomNormal(seed=3)((3, 3, 8, 6)))
    np.testing.assert_array_equal(
        keras.ops.convert_to_numpy(layer.kernel), dense * layer.pattern.mask()
    )


def test_two_layers_start_with_different_weights():
    layers = [SSCConv2D(8, 3, g=4, p=2) for _ in range(2)]
    for layer in layers:
        layer.build((None, 5, 5, 8))
    assert not np.array_equal(layers[0].get_weights()[0], layers[1].get_weights()[0])


def test_regularizer_and_constraint_see_the_live_weights():
    layer = SSCConv2D(
        6, 3, g=4, p=2, kernel_regularizer=keras.regularizers.L2(0.5), kernel_constraint="non_neg"
    )
    layer.build((None, 5, 5, 8))
    live = np.concatenate([np.ravel(v) for v in layer.get_weights()[:-1]])
    assert float(sum(layer.losses)) == pytest.approx(0.5 * (live**2).sum(), rel=1e-5)
    for variable in layer.trainable_variables[:-1]:
        assert variable.constraint is not None


@pytest.mark.parametrize(
    ("data_format", "shape"),
    [("channels_last", (None, None, 9, 8)), ("channels_first", (2, 8, None, 9))],
)
def test_output_shape_with_unknown_sizes(data_format, shape):
    layer = SSCConv2D(4, 3, strides=2, g=4, p=2, data_format=data_format)
    layer.build(shape)
    expected = (None, None, 4, 4) if data_format == "channels_last" else (2, 4, None, 4)
    assert layer.compute_output_shape(shape) == expected


def test_report_says_what_was_asked_used_and_why():
    layer = SSCConv2D(8, 3, g=3, p=2, execution="grouped")
    layer.build((None, 8, 8, 8))
    report = layer.execution_report()
    del report["why_not_native"]  # as this machine is
    assert report.pop("speed_basis").startswith("no layer like it was measured as dense")
    assert report == {
        "asked": "grouped",
        "used": "dense",
        "why": "g = 3 does not divide the 8 input channels",
        "speed_source": "unknown",
        "inference_speed": None,
        "training_speed": None,
    }
    low = SSCConv2D(8, 3, g=4, p=2, dtype="float16")
    low.build((None, 8, 8, 8))
    assert "float32, not float16" in low.execution_report()["why_not_native"]


BASE = {"filters": 8, "kernel_size": 3}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"filters": 0}, ["`filters`", "at least 1", "filters=0"]),
        ({"filters": 7.5}, ["`filters`", "integer", "7.5"]),
        ({"kernel_size": 0}, ["`kernel_size`", "kernel_size=0"]),
        ({"kernel_size": (3, 3, 3)}, ["`kernel_size`", "(3, 3, 3)"]),
        ({"strides": 0}, ["`strides`", "strides=0"]),
        ({"strides": "2"}, ["`strides`", "'2'"]),
        ({"padding": "causal"}, ["`padding`", "valid", "same", "'causal'"]),
        ({"data_format": "NHWC"}, ["`data_format`", "channels_last", "'NHWC'"]),
        ({"dilation_rate": 0}, ["`dilation_rate`", "dilation_rate=0"]),
        ({"strides": 2, "dilation_rate": 2}, ["`strides`", "`dilation_rate`", "strides=(2, 2)"]),
        ({"g": 4}, ["`g` and `p` go together", "g=4, p=None"]),
        ({"p": 4}, ["`g` and `p` go together", "g=None, p=4"]),
        ({"g": 4, "p": 2, "sparsity": 0.9}, ["`sparsity`", "not both", "g=4, p=2"]),
        ({"g": 0, "p": 0}, ["`g` and `p`", "both be 0"]),
        ({"g": -1, "p": 2}, ["`g`", "g=-1"]),
        ({"g": True, "p": 2}, ["`g`", "g=True"]),
        ({"g": "4", "p": 2}, ["`g`", "'4'"]),
        ({"sparsity": 0.0}, ["`sparsity`", "between 0 and 1", "sparsity=0.0"]),
        ({"sparsity": 1}, ["`sparsity`", "between 0 and 1", "sparsity=1"]),
        ({"sparsity": 90}, ["`sparsity`", "between 0 and 1", "sparsity=90"]),
        ({"sparsity": "0.9"}, ["`sparsity`", "number", "'0.9'"]),
        ({"sparsity": float("nan")}, ["`sparsity`", "nan"]),
        ({"shift": None}, ["`shift`", "None"]),
        ({"parity": "odd"}, ["`parity`", "'odd'"]),
        ({"dense_taps": 1}, ["`dense_taps`", "dense_taps=1"]),
        ({"set_offset": -1}, ["`set_offset`", "set_offset=-1"]),
        ({"execution": "fast"}, ["`execution`", "auto", "'fast'"]),
        ({"kernel_size": 1, "g": 2, "p": 2}, ["`g`", "1x1 kernel"]),
    ],
)
def test_refuses_bad_arguments_at_the_door(change, words):
    with pytest.raises((ValueError, TypeError)) as error:
        SSCConv2D(**(BASE | change))
    assert all(word in str(error.value) for word in words), error.value


@pytest.mark.parametrize(
    ("change", "shape", "words"),
    [
        ({"g": 16, "p": 2}, (None, 8, 8, 8), ["`mine`", "`g`", "g=16", "in_channels=8"]),
        ({"g": 4, "p": 7}, (None, 8, 8, 8), ["`mine`", "`p`", "at most 6", "p=7"]),
        ({"sparsity": 0.9}, (None, 8, 8, 3), ["`mine`", "`sparsity`", "Nearest", "0.8333"]),
        ({}, (None, 8, 8, None), ["`mine`", "channel dimension"]),
        ({}, (8, 8, 64), ["`mine`", "4 dimensions", "(8, 8, 64)"]),
        ({"g": 4, "p": 2}, (None, 2, 8, 8), ["smaller than the kernel", "(None, 2, 8, 8)"]),
    ],
)
def test_refuses_inputs_that_do_not_fit(change, shape, words):
    layer = SSCConv2D(**(BASE | change), name="mine")
    with pytest.raises(ValueError) as error:
        layer.build(shape)
    assert all(word in str(error.value) for word in words), error.value


def test_pattern_before_build_is_a_clear_error():
    with pytest.raises(AttributeError, match="build it first"):
        _ = SSCConv2D(8, 3).pattern
