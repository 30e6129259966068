"""Graphs that are saved need TensorFlow only: exported, concrete functions, `portable`."""

import contextlib
import subprocess
import sys

import keras
import numpy as np
import pytest
from graphs import called_operations

import keras_ssc

tf = pytest.importorskip("tensorflow")
pytestmark = [
    pytest.mark.usefixtures("compiler"),
    pytest.mark.skipif(
        keras.backend.backend() != "tensorflow", reason="graphs of the TensorFlow backend"
    ),
]

SHAPE = (16, 16, 16)


@pytest.fixture
def model():
    """A layer and a BatchNormalization, both of which compute natively when they are called."""
    x = inputs = keras.Input(SHAPE)
    x = keras_ssc.SSCConv2D(16, 3, g=8, p=3)(x)
    x = keras_ssc.layers.FusedBatchNormalization(activation="relu")(x)
    return keras.Model(inputs, keras_ssc.layers.FusedBatchNormalization()(x))


def images():
    return np.random.default_rng(0).normal(size=(2, *SHAPE)).astype("float32")


def native(operations):
    return sorted(name for name in operations if name.startswith("KerasSsc"))


def needs_us(path):
    """Whether a saved file holds one of our operations."""
    return b"KerasSsc" in (path / "saved_model.pb").read_bytes()


def save(path, model, function, signatures=None):
    module = tf.Module()
    module.model, module.function = model, function
    tf.saved_model.save(module, str(path), signatures=signatures)


LOAD = """
import sys
import numpy as np
import tensorflow as tf
loaded = tf.saved_model.load(sys.argv[1])
y = loaded.signatures["serving_default"](tf.constant(np.load(sys.argv[2])))
assert "keras_ssc" not in sys.modules
np.testing.assert_allclose(list(y.values())[0], np.load(sys.argv[3]), atol=1e-5)
"""


def test_a_concrete_function_is_loaded_by_tensorflow_alone(model, tmp_path):
    function = tf.function(lambda x: model(x, training=False))
    concrete = function.get_concrete_function(tf.TensorSpec((None, *SHAPE)))
    assert not native(operation.type for operation in concrete.graph.get_operations())
    save(tmp_path / "saved", model, function, signatures=concrete)
    assert not needs_us(tmp_path / "saved")
    np.save(tmp_path / "x.npy", images())
    np.save(tmp_path / "y.npy", model(images()))
    paths = [str(tmp_path / name) for name in ("saved", "x.npy", "y.npy")]
    done = subprocess.run(
        [sys.executable, "-c", LOAD, *paths], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_functions_that_are_called_stay_fast(model):
    spec = [tf.TensorSpec((None, *SHAPE))]
    function = tf.function(lambda x: model(x, training=False), input_signature=spec)
    assert native(called_operations(function, images()))


@pytest.mark.parametrize("scope", [contextlib.nullcontext, keras_ssc.portable])
def test_a_function_that_was_called_before_is_saved_with_portable(model, scope, tmp_path):
    @tf.function(input_signature=[tf.TensorSpec((None, *SHAPE))])
    def serve(x):
        with scope():
            return model(x, training=False)

    np.testing.assert_allclose(serve(images()), model(images()), atol=1e-5)
    save(tmp_path / "function", model, serve)  # TensorFlow makes new graphs of functions
    assert not needs_us(tmp_path / "function")
    save(tmp_path / "graph", model, serve, signatures=serve.get_concrete_function())
    assert needs_us(tmp_path / "graph") == (scope is contextlib.nullcontext)


def test_portable_ends_with_its_block_also_after_an_error(model):
    function = tf.function(lambda x: model(x, training=False))
    with pytest.raises(KeyError), keras_ssc.portable():
        raise KeyError
    with keras_ssc.portable(), keras_ssc.portable():
        pass
    assert native(called_operations(function, images()))


def test_portable_is_of_one_thread(model):
    from concurrent.futures import ThreadPoolExecutor

    layer = model.layers[1]
    with keras_ssc.portable(), ThreadPoolExecutor(1) as pool:
        assert layer.execution_report()["used"] != "native"
        assert "portable" in layer.execution_report()["why"]
        assert pool.submit(layer.execution_report).result()["used"] == "native"


def test_portable_computes_the_same_gradients(model):
    def gradients():
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.sin(model(images(), training=False)))
        return tape.gradient(loss, model.trainable_variables)

    expected = gradients()
    with keras_ssc.portable():
        found = gradients()
    for ours, theirs in zip(found, expected, strict=True):
        scale = np.abs(theirs).max()
        np.testing.assert_allclose(ours / scale, theirs / scale, atol=2e-5)


def models():
    """Models of all structures, and an input for each."""
    x = np.random.default_rng(0).normal(size=(2, 4)).astype("float32")
    one = keras.Input((4,))
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    return {
        "one": (keras.Model(one, keras.layers.Dense(2)(one)), x),
        "list of one": (keras.Model([one], [keras.layers.Dense(2)(one)]), [x]),
        "sequential": (keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]), x),
        "list": (keras.Model([a, b], [a + b, a - b]), [x, 2 * x]),
        "tuple": (keras.Model((a, b), (a + b, a - b)), (x, 2 * x)),
        "dict": (keras.Model({"b": b, "a": a}, {"sum": a + b, "less": a - b}), {"a": x, "b": -x}),
    }


@pytest.mark.parametrize("kind", models())
def test_serve_takes_and_returns_what_that_of_keras_does(kind, tmp_path):
    model, x = models()[kind]
    model.export(str(tmp_path / "theirs"), verbose=False)
    keras_ssc.export(model, tmp_path / "ours")
    ours, theirs = (tf.saved_model.load(str(tmp_path / name)) for name in ("ours", "theirs"))
    found, expected = ours.serve(x), theirs.serve(x)
    assert type(found) is type(expected)
    keras.tree.assert_same_structure(
        keras.tree.map_structure(np.shape, found), keras.tree.map_structure(np.shape, expected)
    )
    for one, other in zip(*map(keras.tree.flatten, (found, expected)), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    assert set(ours.signatures) == set(theirs.signatures) == {"serve", "serving_default"}
    flat = keras.tree.flatten(x)
    named = {f"input_{i}": tf.constant(part) for i, part in enumerate(flat)}
    for signature in ours.signatures.values():
        outputs = signature(**named)
        for i, part in enumerate(keras.tree.flatten(found)):
            np.testing.assert_allclose(outputs[f"output_{i}"], part, atol=1e-6)
