"""The fused batch normalisation equals Keras's layers, natively and portably."""

import keras
import numpy as np
import pytest
from graphs import called_operations

import keras_ssc
from keras_ssc.layers import FusedBatchNormalization

ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
pytestmark = pytest.mark.backends

DTYPES = ("float32", "float64")
SHAPES = [(4, 6, 5, 32), (3, 7, 7, 13), (4, 3, 1, 1), (5, 64), (2, 33, 9, 40)]


def both_layers(activation, **settings):
    """Our layer and Keras's chain of layers: functions of (x, residual, training)."""
    ours = FusedBatchNormalization(activation=activation, **settings)
    theirs = keras.layers.BatchNormalization(**settings)

    def chain(x, residual, training):
        y = theirs(x, training=training)
        y = y if residual is None else y + residual
        return keras.ops.relu(y) if activation else y

    return ours, theirs, lambda x, r, training: ours(x, residual=r, training=training), chain


def arrays(shape):
    random = np.random.default_rng(0)
    offset = random.normal(size=shape[-1]) * 10
    return [(random.normal(size=shape) + added).astype("float32") for added in (offset, 0, 0)]


def start(layer, shape):
    random = np.random.default_rng(1)
    layer.build(shape)
    layer.set_weights([random.uniform(0.5, 2, size=shape[-1]) for _ in range(4)])


@pytest.mark.skipif(not ON_TENSORFLOW, reason="GradientTape is TensorFlow's")
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("activation", ["relu", None])
@pytest.mark.parametrize("with_residual", [True, False])
@pytest.mark.parametrize(
    ("shape", "jit_compile"), [(SHAPES[1], True), *((shape, False) for shape in SHAPES)], ids=str
)
def test_values_gradients_and_statistics(shape, jit_compile, with_residual, activation, training):
    import tensorflow as tf

    x, residual, dy = (tf.constant(array) for array in arrays(shape))
    results = []
    ours, theirs, *functions = both_layers(activation)
    for layer, function in zip((ours, theirs), functions, strict=True):
        start(layer, shape)

        def run(x, residual, function=function, layer=layer):
            with tf.GradientTape() as tape:
                tape.watch([x, residual])
                y = function(x, residual if with_residual else None, training)
                loss = tf.reduce_sum(y * dy)
            sources = [x, layer.gamma.value, layer.beta.value]
            return y, *tape.gradient(loss, sources + ([residual] if with_residual else []))

        # XLA takes the portable form; a plain graph takes the native one.
        results.append([t.numpy() for t in tf.function(run, jit_compile=jit_compile)(x, residual)])
        results[-1] += [np.asarray(weight) for weight in layer.get_weights()]
    for actual, expected in zip(*results, strict=True):
        scale = max(np.abs(expected).max(), 1e-3)
        np.testing.assert_allclose(actual / scale, expected / scale, atol=2e-5)


@pytest.mark.skipif(not ON_TENSORFLOW, reason="GradientTape is TensorFlow's")
@pytest.mark.parametrize("activation", ["relu", None])
@pytest.mark.parametrize("with_residual", [True, False])
def test_output_that_is_used_twice_gets_the_sum_of_both_gradients(with_residual, activation):
    import tensorflow as tf

    shape = SHAPES[0]
    x, residual, dy = (tf.constant(array) for array in arrays(shape))
    results = []
    ours, theirs, *functions = both_layers(activation)
    for layer, function in zip((ours, theirs), functions, strict=True):
        start(layer, shape)

        @tf.function
        def run(x, residual, function=function, layer=layer):
            with tf.GradientTape() as tape:
                tape.watch([x, residual])
                y = function(x, residual if with_residual else None, True)
                loss = tf.reduce_sum(y * dy) + tf.reduce_sum(tf.sin(y))
            sources = [x, layer.gamma.value, layer.beta.value]
            return tape.gradient(loss, sources + ([residual] if with_residual else []))

        results.append([tensor.numpy() for tensor in run(x, residual)])
    for actual, expected in zip(*results, strict=True):
        scale = max(np.abs(expected).max(), 1e-3)
        np.testing.assert_allclose(actual / scale, expected / scale, atol=2e-5)


@pytest.mark.skipif(not ON_TENSORFLOW, reason="the native operations are TensorFlow's")
@pytest.mark.parametrize(
    ("settings", "shape", "native"),
    [
        ({}, (2, 4, 4, 8), True),
        ({"dtype": "mixed_bfloat16"}, (2, 4, 4, 8), False),
        ({"axis": 1}, (2, 8, 4, 4), False),
        ({"scale": False}, (2, 4, 4, 8), False),
    ],
)
@pytest.mark.usefixtures("compiler")
def test_native_where_it_serves(settings, shape, native):
    import tensorflow as tf

    layer = FusedBatchNormalization(activation="relu", **settings)
    layer.build(shape)
    operations = called_operations(tf.function(layer), tf.zeros(shape), training=True)
    assert ("KerasSscBatchNorm" in operations) == native


@pytest.mark.skipif(not ON_TENSORFLOW, reason="the native operations are TensorFlow's")
@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("trainable", [True, False])
@pytest.mark.parametrize("with_residual", [True, False])
@pytest.mark.usefixtures("compiler")
def test_inference_is_part_of_the_convolution_before_it(use_bias, trainable, with_residual):
    import tensorflow as tf

    shape = (3, 9, 9, 32)
    x, residual, dy = (tf.constant(array) for array in arrays(shape))
    convolution = keras_ssc.SSCConv2D(32, 3, padding="same", g=8, p=3, use_bias=use_bias)
    convolution.build(shape)
    norm = FusedBatchNormalization(activation="relu", trainable=trainable)
    start(norm, shape)
    variables = [*convolution.variables, norm.gamma, norm.beta]

    def run(x, residual, together):
        with tf.GradientTape() as tape:
            variables_now = [variable.value for variable in variables]
            tape.watch([x, residual, *variables_now])
            z = convolution(x)
            # tf.identity hides where z comes from.
            z = z if together else tf.identity(z)
            y = norm(z, residual=residual if with_residual else None, training=not trainable)
        sources = [x, *variables_now] + ([residual] if with_residual else [])
        return y, *tape.gradient(y, sources, output_gradients=dy)

    results, operations = [], []
    for together in (True, False):
        function = tf.function(lambda x, r, together=together: run(x, r, together))
        results.append([tensor.numpy() for tensor in function(x, residual)])
        forward = tf.function(lambda x, r, together=together: run(x, r, together)[0])
        operations.append(called_operations(forward, x, residual))
    assert "KerasSscScaleShift" not in operations[0]
    assert "KerasSscScaleShift" in operations[1]
    for actual, expected in zip(*results, strict=True):
        scale = max(np.abs(expected).max(), 1e-3)
        np.testing.assert_allclose(actual / scale, expected / scale, atol=2e-5)


def test_portable_forms_equal_keras():
    for settings, shape in (({"axis": 1}, (2, 8, 4, 4)), ({"center": False}, (2, 4, 4, 8))):
        x, residual, _ = arrays(shape)
        ours, theirs, one, other = both_layers("relu", **settings)
        for training in (True, False):
            np.testing.assert_allclose(
                keras.ops.convert_to_numpy(one(x, residual, training)),
                keras.ops.convert_to_numpy(other(x, residual, training)),
                atol=1e-5,
            )
        for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-6)


def test_weights_files_are_exchangeable(tmp_path):
    models = []
    for kind in (FusedBatchNormalization, keras.layers.BatchNormalization):
        inputs = keras.Input((4, 4, 8))
        models.append(keras.Model(inputs, kind(name="bn")(inputs)))
    models[0].layers[1].set_weights(np.random.default_rng(0).random((4, 8)))
    models[0].save_weights(tmp_path / "a.weights.h5")
    models[1].load_weights(tmp_path / "a.weights.h5")
    for a, b in zip(models[0].get_weights(), models[1].get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    paths = [[v.path for v in model.variables] for model in models]
    assert paths[0] == paths[1]


def test_config_and_functional_model(tmp_path):
    x, y = keras.Input((4, 4, 8)), keras.Input((4, 4, 8))
    norm = FusedBatchNormalization(activation="relu", epsilon=1e-5)
    model = keras.Model([x, y], norm(x, residual=y))
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.layers[-1].activation == "relu"
    inputs = arrays((2, 4, 4, 8))[:2]
    np.testing.assert_array_equal(
        again.predict(inputs, verbose=0), model.predict(inputs, verbose=0)
    )


def test_refuses_other_activations():
    with pytest.raises(ValueError, match=r"`activation` must be one of .*'relu'.*'tanh'"):
        FusedBatchNormalization(activation="tanh")


@pytest.mark.skipif(not ON_TENSORFLOW, reason="GradientTape is TensorFlow's")
@pytest.mark.parametrize("activation", ["relu", None])
@pytest.mark.parametrize("with_residual", [True, False])
def test_second_derivatives_are_the_differences_of_the_first(with_residual, activation):
    import tensorflow as tf

    shape = (3, 2, 2, 5)
    arrays_of = [array.astype("float64") for array in arrays(shape)]
    layers = {name: FusedBatchNormalization(activation=activation, dtype=name) for name in DTYPES}
    for layer in layers.values():
        start(layer, shape)

    def objective(dtype, x):
        """A scalar made of first derivatives."""
        residual, weights = (tf.constant(array, dtype) for array in arrays_of[1:])
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layers[dtype](x, residual=residual if with_residual else None, training=True)
            value = tf.reduce_sum(tf.sin(y) * weights)
        return tf.reduce_sum(tf.cos(tape.gradient(value, x)))

    x = tf.Variable(arrays_of[0], dtype="float32")
    with tf.GradientTape() as tape:
        value = objective("float32", x.read_value())
    second = tape.gradient(value, x).numpy()
    expected = np.zeros(shape)
    for place in np.ndindex(shape):
        step = np.zeros(shape)
        step[place] = 1e-5
        up, down = (objective("float64", tf.constant(arrays_of[0] + s)) for s in (step, -step))
        expected[place] = (up - down) / 2e-5
    np.testing.assert_allclose(second, expected, atol=3e-5 * np.abs(expected).max())
