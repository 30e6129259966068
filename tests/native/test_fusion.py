"""Batch normalisation inside the convolutions around it equals the same layers one by one."""

import keras
import numpy as np
import pytest
from tiny_networks import Tiny

import keras_ssc
from keras_ssc.layers import FusedBatchNormalization

pytestmark = [
    pytest.mark.backends,
    pytest.mark.usefixtures("compiler"),
    pytest.mark.skipif(
        keras.backend.backend() != "tensorflow", reason="only TensorFlow's graphs are fused"
    ),
]


class Block:
    """A residual block and one more convolution, with something between any two layers."""

    def __init__(self, between, padding="same", use_bias=False):
        settings = {"g": 8, "p": 3, "padding": padding, "use_bias": use_bias}
        self.layers = [
            keras_ssc.SSCConv2D(32, 3, **settings),
            FusedBatchNormalization(activation="relu"),
            keras_ssc.SSCConv2D(32, 3, **settings),
            FusedBatchNormalization(activation="relu"),
            keras_ssc.SSCConv2D(32, 3, strides=2, **settings),
        ]
        self.between = between

    def build(self, channels):
        random = np.random.default_rng(0)
        for layer in self.layers:
            layer.build((None, 16, 16, channels))
            least = 0.2 if isinstance(layer, FusedBatchNormalization) else -0.5
            layer.set_weights(
                [random.uniform(least, 1, weight.shape) for weight in layer.get_weights()]
            )
        return self

    def __call__(self, x, training):
        first, norm1, second, norm2, last = self.layers
        y = self.between(norm1(self.between(first(x)), training=training))
        residual = x if self.layers[0].padding == "same" else None
        y = norm2(self.between(second(y)), residual=residual, training=training)
        return last(self.between(y))

    @property
    def variables(self):
        return [variable for layer in self.layers for variable in layer.trainable_variables]

    @property
    def moments(self):
        return [np.asarray(v) for layer in self.layers for v in layer.non_trainable_variables]


class PointwiseBlock(Block):
    """A 1x1 convolution and its normalisation."""

    def __init__(self, between):
        self.layers = [
            keras_ssc.SSCConv2D(24, 1, g=0, p=2, shift="block", use_bias=False),
            FusedBatchNormalization(activation="relu"),
        ]
        self.between = between

    def __call__(self, x, training):
        convolution, norm = self.layers
        return norm(self.between(convolution(x)), training=training)


def results(block, x, training):
    """Output, gradients and moving moments, as NumPy arrays."""
    import tensorflow as tf

    @tf.function
    def run(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = block(x, training)
            loss = tf.reduce_sum(tf.sin(y / 10))
        return y, *tape.gradient(loss, [x, *[variable.value for variable in block.variables]])

    tensors = [tensor.numpy() for tensor in run(tf.constant(x))]
    return tensors + block.moments, run.get_concrete_function(tf.constant(x)).graph


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize(("side", "padding"), [(11, "same"), (13, "valid"), (5, "same")])
def test_fused_equals_layer_by_layer(side, padding, use_bias, training):
    import tensorflow as tf

    x = np.random.default_rng(1).normal(size=(3, side, side, 32)).astype("float32")
    together = Block(lambda y: y, padding, use_bias).build(32)
    one_by_one = Block(tf.identity, padding, use_bias).build(32)
    fused, graph = results(together, x, training)
    plain, plain_graph = results(one_by_one, x, training)
    # A bias before a normalisation has no gradient but rounding: all is seen beside the largest.
    largest = max(np.abs(array).max() for array in plain)
    for actual, expected in zip(fused, plain, strict=True):
        scale = max(np.abs(expected).max(), 1e-2 * largest)
        np.testing.assert_allclose(actual / scale, expected / scale, atol=5e-5)

    def kinds(graph):
        return {operation.type for operation in graph.get_operations()}

    if training:
        assert "KerasSscNormalize" in kinds(graph)
        assert not {"KerasSscBatchNorm"} & kinds(graph)
        assert "KerasSscBatchNorm" in kinds(plain_graph)
        norms = [
            operation.get_attr("norms")
            for operation in graph.get_operations()
            if operation.type == "KerasSscConv2D"
        ]
        # The second convolution normalises what it reads; on maps that go by rows only.
        assert (4 in norms) == (side > 8)
    else:
        assert "KerasSscScaleShift" not in kinds(graph)
        assert "KerasSscScaleShift" in kinds(plain_graph)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("side", [1, 7, 40])  # the last one is too large for the second cache
def test_pointwise_fused_equals_layer_by_layer(side, training):
    import tensorflow as tf

    x = np.random.default_rng(1).normal(2, 1, size=(3, side, side, 24)).astype("float32")
    fused, graph = results(PointwiseBlock(lambda y: y).build(24), x, training)
    plain, _ = results(PointwiseBlock(tf.identity).build(24), x, training)
    for actual, expected in zip(fused, plain, strict=True):
        scale = max(np.abs(expected).max(), 1e-2)
        np.testing.assert_allclose(actual / scale, expected / scale, atol=5e-5)
    kinds = {operation.type for operation in graph.get_operations()}
    assert not {"KerasSscBatchNorm", "KerasSscScaleShift"} & kinds


@pytest.mark.parametrize(
    ("build", "side"),
    [(Tiny, 64), pytest.param(keras_ssc.applications.ResNet20, 32, marks=pytest.mark.campaign)],
)
def test_a_step_of_fit_equals_that_of_the_portable_forms(build, side):
    """Maps of 32, 16 and 8 rows, in either network."""
    networks = []
    for execution in ("auto", "dense"):
        keras.utils.set_random_seed(0)
        network = build(sparsity=0.9, execution=execution, input_shape=(side, side, 3), classes=10)
        network.compile(keras.optimizers.SGD(0.1, momentum=0.9), "sparse_categorical_crossentropy")
        networks.append(network)
    random = np.random.default_rng(0)
    x, y = random.normal(size=(8, side, side, 3)).astype("float32"), np.arange(8) % 10
    losses = [[network.train_on_batch(x, y) for _ in range(3)] for network in networks]
    np.testing.assert_allclose(*losses, rtol=2e-3)
    predictions = [network.predict(x, verbose=0) for network in networks]
    np.testing.assert_allclose(*predictions, atol=2e-2)


def test_gradients_by_given_moments():
    """What normalises by moving statistics is differentiated by these, too."""
    import tensorflow as tf

    random = np.random.default_rng(0)
    layer = keras_ssc.SSCConv2D(16, 3, g=8, p=7, padding="same")
    norm = FusedBatchNormalization(activation="relu")
    x = random.normal(size=(2, 6, 6, 16)).astype("float32")
    layer.build(x.shape)
    norm.build(x.shape)
    norm.set_weights([random.uniform(0.5, 2, 16) for _ in range(4)])
    vectors = [norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance]
    vectors = [vector.value for vector in vectors]

    def gradients():
        with tf.GradientTape() as tape:
            tape.watch(vectors)
            total = tf.reduce_sum(norm(layer(x), training=False) ** 2)
        return tape.gradient(total, vectors)

    for one, two in zip(tf.function(gradients)(), gradients(), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-4)
