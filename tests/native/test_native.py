"""The native kernels: every vector width, odd sizes, threads; and where they must not go."""

import subprocess
import sys

import keras
import numpy as np
import pytest
from graphs import called_operations
from native_cases import ON_JAX, case, three_passes, ways

import keras_ssc
from keras_ssc import SSCConv2D, SSCPattern

pytestmark = [pytest.mark.jax, pytest.mark.usefixtures("compiler")]
on_tensorflow = pytest.mark.skipif(ON_JAX, reason="about graphs and tapes of TensorFlow")


BLOCK, SET = {"shift": "block"}, {"set_offset": 5}
ALTERNATE, FULL = {"parity": "alternate"}, {"dense_taps": True}
PATTERNS = {
    "q = 8": {"in_channels": 32, "filters": 32, "g": 8, "p": 3},
    "q = 16": {"in_channels": 64, "filters": 64, "g": 16, "p": 5},
    "straddled sets": {"in_channels": 24, "filters": 24, "g": 12, "p": 5},
    "odd numbers": {"in_channels": 13, "filters": 9, "g": 4, "p": 2},
    "KxK loads that wrap": {"in_channels": 20, "filters": 32, "g": 4, "p": 8},
    "fewer channels than lanes": {"in_channels": 3, "filters": 16, "g": 0, "p": 1},
    "set offset": {"in_channels": 16, "filters": 32, "g": 8, "p": 3, "set_offset": 3},
    "block": {"in_channels": 16, "filters": 16, "g": 8, "p": 3, "shift": "block"},
    "alternate": {"in_channels": 16, "filters": 16, "g": 8, "p": 3, "parity": "alternate"},
    "no 1x1": {"in_channels": 16, "filters": 48, "g": 8, "p": 0},
    "1x1 only": {"in_channels": 32, "filters": 16, "kernel_size": 1, "g": 0, "p": 2},
    "7x7": {"in_channels": 16, "filters": 16, "kernel_size": 7, "g": 8, "p": 4},
    "rectangle": {"in_channels": 16, "filters": 16, "kernel_size": (2, 5), "g": 8, "p": 3},
    "q = 4": {"in_channels": 16, "filters": 24, "g": 4, "p": 1},
    "q = 2, straddled": {"in_channels": 12, "filters": 18, "g": 2, "p": 1},
    "q = 52": {"in_channels": 104, "filters": 104, "g": 2, "p": 52},
    "q = 3": {"in_channels": 27, "filters": 34, "g": 3, "p": 2},
    "q = 12": {"in_channels": 36, "filters": 48, "g": 12, "p": 11},
    "all channels": {"in_channels": 9, "filters": 20, "g": 1, "p": 0, "dense_taps": True},
    "one channel": {"in_channels": 16, "filters": 16, "g": 16, "p": 0},
    "1x1, block": {"in_channels": 24, "filters": 58, "kernel_size": 1, "g": 0, "p": 2, **BLOCK},
    "1x1, p = 4": {"in_channels": 32, "filters": 36, "kernel_size": 1, "g": 0, "p": 4},
    "1x1, p = 8": {"in_channels": 64, "filters": 80, "kernel_size": 1, "g": 0, "p": 8},
    "1x1, p = 3": {"in_channels": 27, "filters": 33, "kernel_size": 1, "g": 0, "p": 3, **BLOCK},
    "1x1, set offset": {"in_channels": 32, "filters": 40, "kernel_size": 1, "g": 0, "p": 4, **SET},
    "block, q = 6": {"in_channels": 24, "filters": 45, "g": 6, "p": 5, **BLOCK},
    "alternate, block": {"in_channels": 18, "filters": 25, "g": 9, "p": 2, **BLOCK, **ALTERNATE},
    "alternate, full taps": {"in_channels": 20, "filters": 22, "g": 5, "p": 1, **ALTERNATE, **FULL},
}
GEOMETRY = {
    "1 x 1": {"size": (1, 1)},
    "one row": {"size": (1, 7)},
    "7 x 33": {"size": (7, 33), "batch": 1},
    "33 x 7": {"size": (33, 7)},
    "stride 2, even": {"size": (8, 10), "strides": (2, 2)},
    "stride 2, odd": {"size": (9, 7), "strides": (2, 2)},
    "stride (3, 2), valid": {"size": (11, 20), "strides": (3, 2), "padding": "valid"},
    "dilation 2": {"size": (9, 12), "dilation": (2, 2)},
    "dilation (1, 3), valid": {"size": (9, 17), "dilation": (1, 3), "padding": "valid"},
    "nine small images": {"size": (4, 4), "batch": 9},
    "many pixels": {"size": (9, 11), "batch": 7},
}


# Each pattern with each geometry; in turns, half of them run with every change.
PAIRS = [
    pytest.param(pattern, geometry, marks=[] if (i + j) % 2 == 0 else pytest.mark.campaign)
    for i, pattern in enumerate(PATTERNS)
    for j, geometry in enumerate(GEOMETRY)
]


@pytest.mark.parametrize(("pattern", "geometry"), PAIRS)
def test_equals_the_reference_at_every_width(pattern, geometry):
    pattern, (x, weights, dy), expected, settings = case(PATTERNS[pattern], **GEOMETRY[geometry])
    for widest, slices in ways():
        results = three_passes(pattern, x, weights, dy, **settings, widest=widest, slices=slices)
        for actual, wanted in zip(results, expected, strict=True):
            scale = max(np.abs(wanted).max(), 1e-3)
            np.testing.assert_allclose(actual / scale, wanted / scale, atol=1e-5)


@on_tensorflow
@pytest.mark.parametrize("activation", ["relu", "tanh", None])
@pytest.mark.parametrize("execution", ["native", "dense"])
def test_bias_and_activation(execution, activation):
    import tensorflow as tf

    settings = {"g": 8, "p": 3, "bias_initializer": "random_normal", "padding": "same"}
    layers = [
        SSCConv2D(16, 3, activation=activation, execution=one, **settings)
        for one in (execution, "dense")
    ]
    x = tf.random.normal((3, 6, 9, 16), seed=0)
    for layer in layers:
        layer.build(x.shape)
    layers[1].activation = None
    layers[1].set_weights(layers[0].get_weights())
    function = keras.activations.get(activation)
    results = []
    for layer, after in ((layers[0], lambda y: y), (layers[1], function)):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = after(layer(x))
        sources = [x, *(variable.value for variable in layer.trainable_variables)]
        results.append([y, *tape.gradient(y, sources, output_gradients=tf.sin(y))])
    for actual, expected in zip(*results, strict=True):
        np.testing.assert_allclose(actual, expected, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("pattern", ["q = 8", "1x1, block", "alternate"])
def test_repeated_runs_are_bit_equal(pattern):
    pattern, arrays, _, settings = case(PATTERNS[pattern], size=(16, 16), batch=16)
    first = three_passes(pattern, *arrays, **settings)
    for _ in range(50):
        for again, before in zip(three_passes(pattern, *arrays, **settings), first, strict=True):
            np.testing.assert_array_equal(again, before)


@on_tensorflow
def test_no_second_derivative_and_it_says_so():
    import tensorflow as tf

    layer = SSCConv2D(16, 3, g=8, p=3, execution="native")
    x = tf.random.normal((2, 8, 8, 16))
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            y = tf.reduce_sum(layer(x) ** 2)
        slope = inner.gradient(y, x)
    with pytest.raises(LookupError, match=r"no second derivative.*dense"):
        outer.gradient(slope, x)


def test_an_empty_batch():
    x = np.zeros((0, 8, 8, 16), "float32")
    pattern = SSCPattern(16, 16, 3, 8, 3)
    weights = [np.ones((len(i), len(n)), "float32") for _, i, n in pattern.matrices]
    settings = {"strides": (1, 1), "padding": "same", "dilation_rate": (1, 1)}
    y, dx, *gradients = three_passes(pattern, x, weights, x, **settings)
    assert y.shape == dx.shape == x.shape
    assert all((gradient == 0).all() for gradient in gradients)


@on_tensorflow
def test_auto_goes_native_in_a_users_function_but_not_under_xla():
    import tensorflow as tf

    layer = SSCConv2D(16, 3, g=8, p=3)
    x = tf.random.normal((2, 8, 8, 16))
    expected = layer(x)
    plain, compiled = tf.function(layer), tf.function(layer, jit_compile=True)
    assert "KerasSscConv2D" in called_operations(plain, x)
    assert "KerasSscConv2D" not in called_operations(compiled, x)

    @tf.function(jit_compile=True)
    def around(x):
        return tf.function(lambda inside: layer(inside) + 0)(x)

    for function in (plain, compiled, around):
        np.testing.assert_allclose(function(x), expected, atol=1e-5)


@pytest.mark.parametrize("jit_compile", [True, False])
def test_fits_compiled_or_not(jit_compile):
    model = keras.Sequential(
        [keras.Input((8, 8, 16)), SSCConv2D(16, 3, g=8, p=3), keras.layers.Flatten()]
    )
    model.compile("sgd", "mse", jit_compile=jit_compile)
    model.fit(np.ones((4, 8, 8, 16)), np.ones((4, 576)), verbose=0)


SERVED = """
import sys
import numpy as np
import tensorflow as tf
x = np.load(sys.argv[2])
model = tf.saved_model.load(sys.argv[1])
serve = model.serve
np.save(sys.argv[3], serve(x).numpy())
assert serve(x[:1]).shape[0] == 1
assert "keras_ssc" not in sys.modules
"""


@on_tensorflow
@pytest.mark.parametrize("way", [pytest.param("export", marks=pytest.mark.campaign), "archive"])
def test_an_exported_model_needs_tensorflow_only(tmp_path, way):
    inputs = keras.Input((8, 8, 16))
    model = keras.Model(inputs, SSCConv2D(16, 3, g=8, p=3)(inputs))
    x = np.random.default_rng(0).normal(size=(3, 8, 8, 16)).astype("float32")
    expected = model.predict(x, verbose=0)
    if way == "export":
        model.export(tmp_path / "model", verbose=False)
    else:
        archive = keras.export.ExportArchive()
        archive.track(model)
        signature = [keras.InputSpec(shape=(None, 8, 8, 16), dtype="float32")]
        archive.add_endpoint("serve", model.call, input_signature=signature)
        archive.write_out(tmp_path / "model", verbose=False)
    np.save(tmp_path / "x.npy", x)
    paths = [tmp_path / name for name in ("model", "x.npy", "y.npy")]
    subprocess.run([sys.executable, "-c", SERVED, *map(str, paths)], check=True)
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), expected, atol=1e-5)


NO_COMPILER = """
import numpy as np
import keras_ssc
layer = keras_ssc.SSCConv2D(16, 3, g=8, p=3)
layer(np.ones((2, 8, 8, 16), "float32"))
layer(np.ones((2, 8, 8, 16), "float32"))
print(layer.execution_report())
"""


def test_without_a_compiler_the_library_paths_compute(tmp_path):
    import os

    environment = os.environ | {"CXX": "no-such-compiler", "KERAS_SSC_CACHE": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", NO_COMPILER],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "'used': 'dense'" in done.stdout
    assert done.stderr.count("keras-ssc computes without its native kernels") == 1
    assert "no C++ compiler (no-such-compiler) was found" in done.stderr


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"dtype": "mixed_bfloat16"}, "float32, not bfloat16"),
        ({"dtype": "float64"}, "float32, not float64"),
        ({"filters": 1, "g": 0, "p": 1}, None),
    ],
)
def test_gives_way_and_says_why(settings, words):
    settings = {"filters": 16, "kernel_size": 3, "g": 8, "p": 3, "execution": "native"} | settings
    layer = keras_ssc.SSCConv2D(**settings)
    layer.build((None, 8, 8, 16))
    report = layer.execution_report((8, 8))
    assert report["used"] == ("dense" if words else "native")
    assert words is None or words in report["why"]
