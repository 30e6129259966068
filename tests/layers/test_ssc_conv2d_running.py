"""SSCConv2D running: exported, compiled, in fit, with unknown sizes, in low precision."""

import keras
import numpy as np
import pytest
from gradients import value_and_gradients

from keras_ssc import SSCConv2D

pytestmark = pytest.mark.backends

ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
only_tensorflow = pytest.mark.skipif(not ON_TENSORFLOW, reason="TensorFlow is the subject")
EXECUTIONS = ["auto", "dense", "grouped"]


def images(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


@only_tensorflow
@pytest.mark.parametrize("execution", EXECUTIONS)
def test_saved_model_serves_any_batch(tmp_path, execution):
    import tensorflow as tf

    model = keras.Sequential(
        [keras.Input((None, None, 8)), SSCConv2D(8, 3, g=4, p=2, execution=execution)]
    )
    model.export(tmp_path / "saved", verbose=False)
    loaded = tf.saved_model.load(str(tmp_path / "saved"))
    for batch, size in ((1, 5), (3, 8)):
        x = images(batch, size, size, 8)
        np.testing.assert_allclose(loaded.serve(x), model(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("execution", EXECUTIONS)
@pytest.mark.parametrize("jit", [False, True])
def test_jit_changes_nothing(execution, jit):
    layer = SSCConv2D(8, 3, g=4, p=2, padding="same", execution=execution)
    x, dy = images(2, 6, 6, 8), images(2, 6, 6, 8, seed=1)
    layer.build(x.shape)
    plain = value_and_gradients(layer, x, dy)
    compiled = value_and_gradients(layer, x, dy, jit=jit)
    for one, two in zip(
        plain[:2] + tuple(plain[2]), compiled[:2] + tuple(compiled[2]), strict=True
    ):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-4)


def small_models():
    """The same two layers as a Sequential, a functional and a subclassed model."""

    def layers():
        return [
            SSCConv2D(8, 3, g=4, p=2, activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3),
        ]

    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__()
            self.steps = layers()

        def call(self, x):
            for step in self.steps:
                x = step(x)
            return x

    inputs = keras.Input((None, None, 8))
    outputs = inputs
    for step in layers():
        outputs = step(outputs)
    return {
        "sequential": keras.Sequential(layers()),
        "functional": keras.Model(inputs, outputs),
        "subclassed": Subclassed(),
    }


@pytest.mark.parametrize(
    ("kind", "jit_compile"),
    [("sequential", False), ("functional", False), ("subclassed", False), ("functional", True)],
)
def test_learns_in_fit(kind, jit_compile):
    model = small_models()[kind]
    x = images(64, 8, 8, 8)
    y = (x.mean((1, 2))[:, :3]).argmax(-1)
    model.compile(
        keras.optimizers.Adam(0.02),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=jit_compile,
    )
    history = model.fit(x, y, batch_size=32, epochs=12, verbose=0).history["loss"]
    assert history[-1] < 0.9 * history[0]


@only_tensorflow
def test_unknown_sizes_in_a_tf_function():
    import tensorflow as tf

    layer = SSCConv2D(8, 3, strides=2, padding="same", g=4, p=2, execution="grouped")
    layer.build((None, None, None, 8))

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 8))])
    def call(x):
        return layer(x)

    for size in (6, 7):
        x = images(2, size, size, 8)
        np.testing.assert_allclose(call(x), layer(x), rtol=1e-4, atol=1e-5)


@only_tensorflow
def test_grouped_graph_holds_no_dense_kernel():
    import tensorflow as tf

    def shapes(execution):
        layer = SSCConv2D(16, 3, g=4, p=3, padding="same", execution=execution)
        layer.build((None, 8, 8, 16))
        spec = tf.TensorSpec((2, 8, 8, 16))
        graph = tf.function(lambda x: layer(x)).get_concrete_function(spec).graph
        return {
            tuple(tensor.shape.as_list())
            for operation in graph.get_operations()
            for tensor in operation.outputs
            if tensor.shape.rank is not None
        }

    dense_kernel, flat = (3, 3, 16, 16), (3 * 3 * 16 * 16,)
    assert dense_kernel in shapes("dense")
    assert not {dense_kernel, flat} & shapes("grouped")


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16", "bfloat16", "float16"])
@pytest.mark.parametrize("execution", ["dense", "grouped"])
def test_low_precision(dtype, execution):
    layer = SSCConv2D(8, 3, g=4, p=2, padding="same", execution=execution, dtype=dtype)
    x = images(2, 6, 6, 8)
    y = layer(x)
    compute = dtype.removeprefix("mixed_")
    assert keras.backend.standardize_dtype(y.dtype) == compute
    stored = "float32" if dtype.startswith("mixed") else compute
    assert {v.dtype for v in layer.trainable_variables} == {stored}
    exact = SSCConv2D(8, 3, g=4, p=2, padding="same", execution="dense")
    exact.build(x.shape)
    for own, other in zip(exact.trainable_variables, layer.trainable_variables, strict=True):
        own.assign(keras.ops.cast(other.value, "float32"))
    y = keras.ops.convert_to_numpy(keras.ops.cast(y, "float32"))
    # Half the bits of the mantissa, for sums of up to 22 products: 8 bits, or 11.
    tolerance = 0.05 if compute == "bfloat16" else 0.01
    np.testing.assert_allclose(y, keras.ops.convert_to_numpy(exact(x)), atol=tolerance)


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16"])
def test_trains_in_mixed_precision(dtype):
    model = keras.Sequential(
        [
            keras.Input((8, 8, 8)),
            SSCConv2D(8, 3, g=4, p=2, dtype=dtype),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3, dtype="float32"),
        ]
    )
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    before = [keras.ops.convert_to_numpy(v) for v in model.trainable_variables]
    model.fit(images(16, 8, 8, 8), np.arange(16) % 3, verbose=0)
    for old, new in zip(before, model.trainable_variables, strict=True):
        new = keras.ops.convert_to_numpy(new)
        assert np.isfinite(new).all()
        assert not np.array_equal(old, new)
