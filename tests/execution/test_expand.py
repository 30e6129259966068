"""Dense kernels from compact weights: values, gradients, compilers, and what a graph holds."""

import keras
import numpy as np
import pytest
import reference
from gradients import value_and_gradients
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from settings import patterns

from keras_ssc import SSCConv2D, SSCPattern
from keras_ssc.execution import expand_kernel
from keras_ssc.execution.expand import group_kernel, pointwise_kernel

pytestmark = pytest.mark.backends

ON_JAX = keras.backend.backend() == "jax"
SHAPE = {"in_channels": 16, "filters": 16, "kernel_size": (3, 3)}
RULES = {"shift": "cyclic", "parity": "halves", "dense_taps": False, "set_offset": 0}
CASES = {
    "p divides g - 1": {"g": 4, "p": 3},
    "p = 1": {"g": 4, "p": 1},
    "p > g": {"g": 4, "p": 6},
    "no 1x1": {"g": 4, "p": 0},
    "no KxK": {"g": 0, "p": 4},
    "no KxK, p does not divide M": {"g": 0, "p": 5},
    "all channels": {"g": 1, "p": 0},
    "g = M": {"g": 16, "p": 5},
    "g does not divide M": {"g": 5, "p": 2},
    "g does not divide M, no 1x1": {"g": 7, "p": 0},
    "large offset": {"g": 3, "p": 4, "set_offset": 13},
    "offset": {"g": 4, "p": 3, "set_offset": 5},
    "block": {"g": 4, "p": 3, "shift": "block"},
    "alternate": {"g": 4, "p": 3, "parity": "alternate"},
    "alternate, odd": {"g": 4, "p": 3, "parity": "alternate", "filters": 13},
    "dense taps": {"g": 2, "p": 1, "dense_taps": True},
    "uneven last set": {"g": 8, "p": 3, "filters": 13},
    "fewer filters than q": {"g": 8, "p": 3, "filters": 3},
    "one filter": {"g": 8, "p": 3, "filters": 1},
    "even kernel": {"g": 4, "p": 2, "kernel_size": (4, 4)},
    "rectangle": {"g": 4, "p": 2, "kernel_size": (1, 3)},
    "1x1": {"g": 0, "p": 4, "kernel_size": (1, 1)},
    "1x1, p = M": {"g": 0, "p": 16, "kernel_size": (1, 1)},
    "1x1, dense taps": {"g": 4, "p": 2, "kernel_size": (1, 1), "dense_taps": True},
}


class Expanded(keras.layers.Layer):
    """The dense kernel of a pattern, times a number, from trainable compact weights."""

    def __init__(self, pattern, dtype="float32"):
        super().__init__(dtype=dtype)
        self.pattern = pattern
        for name, positions, filters in pattern.matrices:
            self.add_weight(name=name, shape=(len(positions), len(filters)), initializer="zeros")
        self.built = True

    def call(self, x):
        return x * expand_kernel([weight.value for weight in self.weights], self.pattern)


def dense_kernel(arguments, random):
    """A random kernel (K, K, M, N) with the live entries of the reference."""
    mask = reference.mask(*(({**SHAPE, **RULES} | arguments)[name] for name in (*ORDER,)))
    return random.normal(size=mask.shape) * mask


ORDER = (*SHAPE, "g", "p", *RULES)


def compact(kernel, pattern):
    return [kernel.reshape(-1)[pattern.flat_indices(i, n)] for _, i, n in pattern.matrices]


def check(arguments, dtype="float32"):
    """Values and gradients of the expansion are those of the entries it copies."""
    random = np.random.default_rng(0)
    pattern = SSCPattern(**arguments)
    kernel = dense_kernel(arguments, random).astype(dtype)
    layer = Expanded(pattern, dtype)
    layer.set_weights(compact(kernel, pattern))
    dy = random.normal(size=kernel.shape).astype(dtype)
    y, _, gradients = value_and_gradients(layer, np.ones((), dtype), dy)
    np.testing.assert_array_equal(y, kernel)
    for gradient, expected in zip(gradients, compact(dy, pattern), strict=True):
        np.testing.assert_array_equal(gradient, expected)


@hypothesis_settings(max_examples=8 if ON_JAX else 120)
@given(patterns())
def test_any_pattern_equals_the_reference(arguments):
    check(arguments)


# JAX compiles each: there, every fourth kind in float16.
IN_FLOAT16 = [*CASES][:: 4 if ON_JAX else 1]


@pytest.mark.parametrize(
    ("case", "dtype"),
    [*((case, "float32") for case in CASES), *((case, "float16") for case in IN_FLOAT16)],
)
def test_every_kind_equals_the_reference(case, dtype):
    check({**SHAPE, **RULES, **CASES[case]}, dtype)


@pytest.mark.skipif(ON_JAX, reason="JAX compiles in all tests")
@pytest.mark.parametrize("compiler", ["graph", "xla"])
@pytest.mark.parametrize("case", CASES)
def test_compiled_equals_the_reference(case, compiler):
    import tensorflow as tf

    arguments = {**SHAPE, **RULES, **CASES[case]}
    pattern = SSCPattern(**arguments)
    kernel = dense_kernel(arguments, np.random.default_rng(0)).astype("float32")
    weights = compact(kernel, pattern)
    run = tf.function(
        lambda *weights: expand_kernel(list(weights), pattern), jit_compile=compiler == "xla"
    )
    weights = [keras.ops.convert_to_tensor(weight) for weight in weights]
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(run(*weights)), kernel)


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_a_weight_that_is_no_number_stays_in_its_place(value):
    pattern = SSCPattern(16, 16, 3, 4, 3)
    weights = [np.full((len(i), len(n)), value, "float32") for _, i, n in pattern.matrices]
    kernel = keras.ops.convert_to_numpy(expand_kernel(weights, pattern))
    np.testing.assert_array_equal(kernel[~pattern.mask()], 0)
    assert not np.isfinite(kernel[pattern.mask()]).any()


@hypothesis_settings(max_examples=8 if ON_JAX else 80)
@given(patterns())
def test_the_parts_of_the_grouped_form_equal_the_reference(arguments):
    M, g = arguments["in_channels"], arguments["g"]
    arguments["g"] = g = g if g and M % g == 0 else 0
    free = M - (M // g if g else 0)
    arguments["p"] = min(arguments["p"], free) if g else max(1, min(arguments["p"], M))
    pattern = SSCPattern(**arguments)
    kernel = dense_kernel(arguments, np.random.default_rng(0)).astype("float32")
    weights = compact(kernel, pattern)
    classes = pattern.shifts % g if g else np.zeros(pattern.filters, int)
    own = np.arange(M)[:, None] % max(g, 1) == classes if g else np.zeros((M, 1), bool)
    if pattern.pointwise_channels:
        others = (kernel * ~own)[pattern.centre_tap][None, None]
        found = keras.ops.convert_to_numpy(pointwise_kernel(weights, pattern))
        np.testing.assert_array_equal(found, others)
    if g:
        order = np.argsort(classes, kind="stable")
        expected = np.stack([kernel[:, :, classes[n] :: g, n] for n in order], axis=-1)
        found = keras.ops.convert_to_numpy(group_kernel(weights, pattern, order))
        np.testing.assert_array_equal(found, expected)


@pytest.mark.skipif(ON_JAX, reason="about TensorFlow's graphs")
@pytest.mark.parametrize("execution", ["dense", "grouped"])
@pytest.mark.parametrize("case", CASES)
def test_a_graph_holds_no_table_as_long_as_the_kernel(case, execution):
    import tensorflow as tf

    arguments = {**SHAPE, **RULES, **CASES[case]}
    filters = 4 * arguments.pop("filters")
    channels = 4 * arguments.pop("in_channels")
    factor = {name: arguments.pop(name) for name in ("g", "p")}
    if "M" in case.split():
        factor = {name: 4 * value for name, value in factor.items()}
    layer = SSCConv2D(filters, execution=execution, padding="same", **factor, **arguments)
    layer.build((None, 8, 8, channels))

    @tf.function
    def step(x):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(x))
        return tape.gradient(loss, layer.trainable_variables)

    graph = step.get_concrete_function(tf.TensorSpec((2, 8, 8, channels))).graph.as_graph_def()
    nodes = [*graph.node, *(node for f in graph.library.function for node in f.node_def)]
    sizes = [node.ByteSize() for node in nodes if node.op == "Const"]
    assert sizes
    assert max(sizes) <= 200 + 4 * filters  # the shifts; a kernel has at least 4,096 entries
    assert not [n.op for n in nodes if "Scatter" in n.op]
