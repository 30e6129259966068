"""Products of bfloat16: those of rounded numbers, exactly but for the order of float32 sums."""

import logging
import subprocess

import keras
import ml_dtypes
import numpy as np
import pytest
import reference
from inference_models import chain, graph, images, lively

import keras_ssc
from keras_ssc.layers import InferenceNetwork
from keras_ssc.native import build, instruction_sets, network

layers, SSCConv2D = keras.layers, keras_ssc.SSCConv2D
pytestmark = pytest.mark.usefixtures("compiler")

BLOCK = {"shift": "block"}
# Settings of a layer, those of its image and strides, and whether float32 must not have served.
CASES = {
    "rows, q = 8": ({"filters": 32, "g": 8, "p": 3}, (5, 9, 32), 1, True),
    "rows, q = 8, odd numbers": ({"filters": 64, "g": 8, "p": 5}, (3, 17, 40), 1, True),
    "rows, q = 4": ({"filters": 64, "g": 4, "p": 3}, (4, 8, 32), 1, True),
    "rows, q = 16": ({"filters": 96, "g": 16, "p": 15}, (2, 11, 64), 1, True),
    "rows, q = 16, p above g": ({"filters": 64, "g": 8, "p": 16}, (3, 10, 64), 1, True),
    "rows, q = 32": ({"filters": 64, "g": 32, "p": 3}, (2, 8, 64), 1, True),
    "rows, valid": ({"filters": 64, "g": 8, "p": 2, "padding": "valid"}, (5, 13, 64), 1, True),
    "small map": ({"filters": 64, "g": 8, "p": 2}, (4, 4, 64), 1, True),
    "smaller map": ({"filters": 64, "g": 8, "p": 2}, (2, 2, 64), 1, True),
    "stride 2": ({"filters": 128, "g": 8, "p": 3}, (9, 8, 64), 2, True),
    "q = 2": ({"filters": 64, "g": 2, "p": 1}, (5, 5, 32), 1, True),
    "q = 52": ({"filters": 104, "g": 2, "p": 52}, (5, 5, 104), 1, True),
    "block": ({"filters": 90, "g": 8, "p": 3, **BLOCK}, (5, 9, 48), 1, True),
    "alternate": ({"filters": 64, "g": 8, "p": 3, "parity": "alternate"}, (4, 9, 64), 1, True),
    "one 1x1 kernel": ({"filters": 64, "g": 4, "p": 48}, (5, 5, 64), 1, True),
    "1x1, p = 1": ({"filters": 64, "kernel_size": 1, "g": 0, "p": 1}, (3, 7, 32), 1, True),
    "1x1, p = 2": (
        {"filters": 116, "kernel_size": 1, "g": 0, "p": 2, **BLOCK},
        (3, 7, 58),
        1,
        True,
    ),
    "1x1, p = 4": ({"filters": 96, "kernel_size": 1, "g": 0, "p": 4}, (3, 7, 100), 1, True),
    "1x1, stride 2": ({"filters": 96, "kernel_size": 1, "g": 0, "p": 2}, (4, 7, 48), 2, True),
    "few channels": ({"filters": 32, "g": 1, "p": 0}, (5, 9, 3), 1, False),
    "few filters": ({"filters": 16, "kernel_size": 1, "g": 0, "p": 4}, (5, 9, 16), 1, False),
}


@pytest.fixture
def bfloat16():
    """Skip where the CPU can't."""
    if not network.multiplies_bfloat16():
        pytest.skip("no AVX512_BF16 here")


def rounded(array):
    """The nearest bfloat16, of two the even one."""
    return np.asarray(array, "float32").astype(ml_dtypes.bfloat16).astype("float64")


def error(found, expected):
    """The largest difference as a part of the largest number."""
    return np.abs(found - expected).max() / np.abs(expected).max()


@pytest.mark.parametrize("name", CASES)
def test_products_are_those_of_rounded_numbers(bfloat16, name):
    settings, shape, strides, always = CASES[name]
    settings = {"kernel_size": 3, "padding": "same", "strides": strides, **settings}
    layer = SSCConv2D(**settings)
    model = lively(chain(layer, shape=shape))
    fast, x = InferenceNetwork(model, "bfloat16"), images(3, shape)
    found = np.asarray(fast(x))
    kernel, bias = (np.asarray(a) for a in (layer.kernel, layer.bias))
    padding = settings["padding"]

    def convolution(change):
        return reference.convolution(
            change(x), change(kernel), bias, (strides,) * 2, padding, (1, 1)
        )

    served = error(found, convolution(rounded)) < 1e-5
    assert served or (not always and error(found, convolution(np.float64)) < 1e-5)
    np.testing.assert_array_equal(found, np.asarray(fast(x)))


@pytest.mark.parametrize("size", [(4, 8), (3, 3)])
def test_what_is_added_stays_float32(bfloat16, size):
    shape, first = (*size, 64), SSCConv2D(64, 3, padding="same", g=8, p=3)

    def block(x):
        return layers.ReLU(6)(layers.Add()([first(x), x]))

    model = lively(graph(block, shape))
    x = images(2, shape)
    found = np.asarray(InferenceNetwork(model, "bfloat16")(x))
    kernel = rounded(first.kernel)
    y = (
        reference.convolution(rounded(x), kernel, np.asarray(first.bias), (1, 1), "same", (1, 1))
        + x
    )
    assert error(found, np.clip(y, 0, 6)) < 1e-5


@pytest.mark.backends
def test_a_file_keeps_the_products(tmp_path):
    model = lively(keras_ssc.applications.ResNet20(sparsity=0.9))
    fast = keras_ssc.optimize_for_inference(model, dtype="bfloat16")
    fast.save(tmp_path / "fast.keras")
    again = keras.models.load_model(tmp_path / "fast.keras")
    assert again.layers[1].products == "bfloat16"
    x = images(2, (32, 32, 3))
    np.testing.assert_array_equal(again.predict_on_batch(x), fast.predict_on_batch(x))
    np.testing.assert_allclose(fast.predict_on_batch(x), model.predict_on_batch(x), atol=0.02)


@pytest.mark.backends
def test_other_types_are_refused():
    model = chain(layers.Conv2D(2, 1))
    with pytest.raises(ValueError, match=r"`dtype` must be one of .* Received: dtype='float16'"):
        keras_ssc.optimize_for_inference(model, dtype="float16")


def test_one_line_where_the_cpu_cannot(monkeypatch, caplog):
    class Library:
        def keras_ssc_multiplies_bfloat16(self):
            return 0

    monkeypatch.setattr(network.ctypes, "CDLL", lambda path: Library())
    with caplog.at_level(logging.WARNING, "keras_ssc"):
        assert not network.multiplies_bfloat16.__wrapped__()
    assert "multiplies float32 in place of bfloat16: no AVX512_BF16" in caplog.text


def test_a_compiler_that_does_not_know_bfloat16(monkeypatch, tmp_path):
    compiler = build.find().compiler
    assert instruction_sets.knows(compiler, ("-O2",))
    assert not instruction_sets.knows(compiler, ("-mno-such-instructions",))
    if instruction_sets.PAIRED_SET not in instruction_sets.FLAGS:
        pytest.skip("another kind of CPU")
    monkeypatch.setattr(instruction_sets, "knows", lambda compiler, flags: False)
    assert instruction_sets.PAIRED_SET not in build.find().instruction_sets
    for stem in instruction_sets.PAIRED:
        options = instruction_sets.loops(compiler, stem)[instruction_sets.PAIRED_SET]
        command = [compiler, "-std=c++17", "-fsyntax-only", *options, build.SOURCE / f"{stem}.cc"]
        subprocess.run(command, check=True)
