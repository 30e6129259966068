"""Orthogonality of filters: the two equations in NumPy, and in training."""

import keras
import numpy as np
import pytest

import keras_ssc
from keras_ssc.correlation import filter_correlation
from keras_ssc.pruning.differentiate import function_of_weights, gradients
from keras_ssc.regularizers import DoubleSoftOrthogonality, SoftOrthogonality

pytestmark = pytest.mark.jax_long

# More entries than filters, as many, fewer; a Dense kernel.
SHAPES = [(3, 3, 4, 7), (2, 2, 2, 8), (1, 1, 3, 8), (5, 9)]
CLASSES = {"so": SoftOrthogonality, "dso": DoubleSoftOrthogonality}


def random_kernel(shape):
    return np.random.default_rng(0).normal(size=shape, scale=0.5).astype("float32")


def reference(kernel, factor, double):
    """Equations 14 and 15 as they are printed, one product at a time."""
    columns = kernel.astype("float64").reshape(-1, kernel.shape[-1])
    entries, filters = columns.shape
    total = 0.0
    for i in range(filters):
        for j in range(filters):
            total += (columns[:, i] @ columns[:, j] - (i == j)) ** 2
    if double:
        for i in range(entries):
            for j in range(entries):
                total += (columns[i] @ columns[j] - (i == j)) ** 2
    return factor * total


def gradient(function, value):
    """The gradient of a scalar function of one tensor."""
    by_values = gradients(lambda values: function(values[0]))
    return np.asarray(by_values([keras.ops.convert_to_tensor(value)])[0])


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_equals_the_printed_equations(shape, name):
    kernel = random_kernel(shape)
    found = float(CLASSES[name](0.3)(kernel))
    assert found == pytest.approx(reference(kernel, 0.3, name == "dso"), rel=1e-5)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_gradients(shape):
    kernel = random_kernel(shape)
    columns = kernel.reshape(-1, shape[-1]).astype("float64")
    by_hand = 4 * 0.3 * columns @ (columns.T @ columns - np.eye(shape[-1]))
    single = gradient(SoftOrthogonality(0.3), kernel)
    np.testing.assert_allclose(single, by_hand.reshape(shape), rtol=1e-4, atol=1e-4)
    double = gradient(DoubleSoftOrthogonality(0.3), kernel)
    np.testing.assert_allclose(double, 2 * by_hand.reshape(shape), rtol=1e-4, atol=1e-4)


def test_orthonormal_filters_cost_nothing():
    columns, _ = np.linalg.qr(random_kernel((12, 5)))
    assert float(SoftOrthogonality(1.0)(columns)) == pytest.approx(0, abs=1e-10)
    square, _ = np.linalg.qr(random_kernel((6, 6)))
    assert float(DoubleSoftOrthogonality(1.0)(square)) == pytest.approx(0, abs=1e-10)


@pytest.mark.parametrize("name", CLASSES)
def test_config_and_serialisation(name):
    one = CLASSES[name](0.25)
    assert CLASSES[name].from_config(one.get_config()).factor == 0.25
    again = keras.regularizers.get(keras.regularizers.serialize(one))
    assert type(again) is CLASSES[name]
    assert again.factor == 0.25


@pytest.mark.parametrize(
    ("factor", "error"),
    [(-1, ValueError), (float("nan"), ValueError), (float("inf"), ValueError), ("1", TypeError),
     (True, TypeError)],
    ids=str,
)  # fmt: skip
def test_refusals(factor, error):
    with pytest.raises(error, match="`factor` must be"):
        SoftOrthogonality(factor)


SETTINGS = {"3x3": {"g": 4, "p": 3}, "alternate": {"g": 4, "p": 3, "parity": "alternate"},
            "pointwise": {"g": 0, "p": 2}}  # fmt: skip


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("setting", SETTINGS)
def test_a_sparse_layer_pays_for_its_dense_kernel(setting, name):
    layer = keras_ssc.SSCConv2D(
        12, 3 if setting != "pointwise" else 1, kernel_regularizer=CLASSES[name](0.3),
        **SETTINGS[setting],
    )  # fmt: skip
    layer.build((None, 6, 6, 8))
    (loss,) = layer.losses
    kernel = keras.ops.convert_to_numpy(layer.kernel)
    assert float(loss) == pytest.approx(reference(kernel, 0.3, name == "dso"), rel=1e-5)
    layer.trainable = False
    assert layer.losses == []


def test_the_gradient_of_a_sparse_layer_is_that_of_its_dense_kernel():
    layer = keras_ssc.SSCConv2D(12, 3, g=4, p=3, kernel_regularizer=SoftOrthogonality(0.3))
    layer.build((None, 6, 6, 8))
    dense = gradient(SoftOrthogonality(0.3), keras.ops.convert_to_numpy(layer.kernel)).ravel()
    matrices = layer.trainable_variables[:2]
    loss = function_of_weights(layer, matrices, lambda layer: layer.losses[0])
    found = gradients(loss)([matrix.value for matrix in matrices])
    for (_, positions, filters), matrix in zip(layer.pattern.matrices, found, strict=True):
        expected = dense[layer.pattern.flat_indices(positions, filters)]
        np.testing.assert_allclose(np.asarray(matrix), expected, rtol=1e-4, atol=1e-5)


def network(regularizer, layer=keras_ssc.SSCConv2D, **settings):
    """A layer of which `kernel_regularizer` is the only teacher."""
    return keras.Sequential(
        [
            keras.Input((5, 5, 8)),
            layer(12, 3, name="conv", kernel_regularizer=regularizer, **settings),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3, kernel_regularizer=regularizer, name="classifier"),
        ]
    )


DATA = np.random.default_rng(0).normal(size=(16, 5, 5, 8)).astype("float32"), np.arange(16) % 3
LAYERS = {
    "Conv2D": {"layer": keras.layers.Conv2D},
    "SSCConv2D": {"layer": keras_ssc.SSCConv2D, "g": 2, "p": 1},
}


def make_filters_alike(layer):
    """Add one common filter to all filters of the layer's kernel, or of each compact matrix."""
    random = np.random.default_rng(2)
    for matrix in layer.trainable_variables[:-1]:
        common = random.normal(size=(*matrix.shape[:-1], 1), scale=0.2)
        matrix.assign(keras.ops.convert_to_numpy(matrix) + common)


@pytest.mark.parametrize(("kind", "jit_compile"), [("Conv2D", False), ("SSCConv2D", True)])
def test_training_makes_filters_less_alike(kind, jit_compile):
    changes = {}
    for factor in (0.0, 0.05):
        keras.utils.set_random_seed(1)
        model = network(SoftOrthogonality(factor), **LAYERS[kind])
        conv = model.get_layer("conv")
        make_filters_alike(conv)
        before = filter_correlation(keras.ops.convert_to_numpy(conv.kernel))
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.SGD(0.05), loss, jit_compile=jit_compile)
        x, y = (np.concatenate([part] * 40) for part in DATA)
        model.fit(x, y, batch_size=16, verbose=0)
        changes[factor] = filter_correlation(keras.ops.convert_to_numpy(conv.kernel)) / before
    assert changes[0.05] < 0.7
    assert changes[0.0] > 0.9


def test_a_saved_model_keeps_its_regularizers(tmp_path):
    model = network(DoubleSoftOrthogonality(0.01), sparsity=0.8)
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(*DATA, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert len(again.losses) == 2
    np.testing.assert_allclose(
        [float(loss) for loss in again.losses], [float(loss) for loss in model.losses], rtol=1e-6
    )
    assert again.evaluate(*DATA, verbose=0) == pytest.approx(model.evaluate(*DATA, verbose=0))
    again.fit(*DATA, verbose=0)


def test_the_loss_of_fit_holds_the_penalty_once():
    regularizer = SoftOrthogonality(0.05)
    model = network(regularizer, sparsity=0.8)
    plain = network(None, sparsity=0.8)
    plain.set_weights(model.get_weights())
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    results = []
    for one in (model, plain):
        one.compile(keras.optimizers.SGD(0.0), loss)
        results.append(one.fit(*DATA, batch_size=16, verbose=0).history["loss"][0])
    kernels = [model.get_layer(name).kernel for name in ("conv", "classifier")]
    kernels = [keras.ops.convert_to_numpy(kernel) for kernel in kernels]
    penalty = sum(reference(kernel, 0.05, double=False) for kernel in kernels)
    assert results[0] - results[1] == pytest.approx(penalty, rel=1e-4)


def test_conversion_carries_the_regularizer():
    dense = network(SoftOrthogonality(0.05), layer=keras.layers.Conv2D)
    sparse = keras_ssc.sparsify(dense, sparsity=0.8, keep=["classifier"])
    layer = sparse.get_layer("conv")
    assert isinstance(layer, keras_ssc.SSCConv2D)
    kernel = keras.ops.convert_to_numpy(layer.kernel)
    expected = reference(kernel, 0.05, double=False)
    assert float(layer.losses[0]) == pytest.approx(expected, rel=1e-5)
