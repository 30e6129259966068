"""Every builder of keras_ssc.applications: sizes, sparsity, files, precision, refusals."""

import inspect

import keras
import numpy as np
import pytest

import keras_ssc
from keras_ssc import applications

BUILDERS = {name: getattr(applications, name) for name in applications.__all__}
# Trainable parameters of the dense twin at 10 classes (a published or hand-made count).
DENSE_PARAMETERS = {"ResNet32": 1_860_522}
every_builder = pytest.mark.parametrize("name", BUILDERS)


def counted(model):
    """Return (live, dense) kernel weights, counted from outside."""
    live = dense = 0
    for layer in model.layers:
        if isinstance(layer, keras_ssc.SSCConv2D):
            live += layer.pattern.weight_count
            dense += layer.pattern.dense_weight_count
        elif isinstance(layer, (keras.layers.Conv2D, keras.layers.Dense)):
            live += int(np.prod(layer.kernel.shape))
            dense += int(np.prod(layer.kernel.shape))
    return live, dense


@every_builder
def test_arguments_are_keyword_only_with_the_usual_defaults(name):
    parameters = inspect.signature(BUILDERS[name]).parameters
    assert all(one.kind is one.KEYWORD_ONLY for one in parameters.values())
    usual = {
        "include_top": True,
        "weights": None,
        "input_tensor": None,
        "pooling": None,
        "classifier_activation": "softmax",
        "sparsity": None,
        "g": None,
        "p": None,
    }
    assert {one: parameters[one].default for one in usual} == usual


@every_builder
def test_dense_twin_has_the_known_size(name):
    model = BUILDERS[name](sparsity=0.0)
    assert not any(isinstance(layer, keras_ssc.SSCConv2D) for layer in model.layers)
    assert sum(int(np.prod(v.shape)) for v in model.trainable_variables) == DENSE_PARAMETERS[name]


@every_builder
@pytest.mark.parametrize("sparsity", [None, 0.95])
def test_wanted_sparsity_is_reached(name, sparsity):
    live, dense = counted(BUILDERS[name](sparsity=sparsity))
    assert dense == counted(BUILDERS[name](sparsity=0.0))[0]
    assert 1 - live / dense == pytest.approx(sparsity or 0.9, abs=0.003)


@every_builder
def test_g_and_p_are_used_as_given(name):
    model = BUILDERS[name](g=4, p=5)
    sparse = [layer for layer in model.layers if isinstance(layer, keras_ssc.SSCConv2D)]
    assert sparse
    assert {(layer.pattern.g, layer.pattern.p) for layer in sparse} == {(4, 5)}


@every_builder
def test_saved_file_predicts_the_same(name, tmp_path):
    x = np.random.default_rng(0).normal(size=(2, 32, 32, 3)).astype("float32")
    model = BUILDERS[name]()
    expected = model.predict(x, verbose=0)
    np.testing.assert_allclose(expected.sum(axis=1), 1, rtol=1e-5)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again.predict(x, verbose=0), expected, rtol=1e-5, atol=1e-6)
    model.save_weights(tmp_path / "model.weights.h5")
    third = BUILDERS[name](weights=tmp_path / "model.weights.h5")
    np.testing.assert_allclose(third.predict(x, verbose=0), expected, rtol=1e-5, atol=1e-6)


@every_builder
def test_mixed_precision_ends_in_float32(name):
    model = BUILDERS[name](dtype="mixed_bfloat16")
    assert model.output.dtype == "float32"
    assert {variable.dtype for variable in model.trainable_variables} == {"float32"}


@every_builder
def test_channels_first_and_open_sizes_keep_the_shape(name):
    first = BUILDERS[name](input_shape=(3, 32, 32), data_format="channels_first")
    assert first.output_shape == (None, 10)
    body = BUILDERS[name](input_shape=(None, None, 3), include_top=False)
    assert body.output_shape[:3] == (None, None, None)


@every_builder
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"sparsity": 0.9, "g": 8, "p": 3}, "not both"),
        ({"g": 8}, "go together"),
        ({"g": 500, "p": 3}, "500"),
        ({"sparsity": 1.0}, "sparsity"),
        ({"sparsity": 0.9999}, "nearest|reach"),
        ({"classes": 0}, "`classes`"),
        ({"pooling": "min"}, "`pooling`"),
        ({"input_shape": (32, 32)}, "`input_shape`"),
        ({"weights": "nowhere.weights.h5"}, "nowhere.weights.h5"),
    ],
)
def test_refuses_with_a_clear_word(name, arguments, words):
    with pytest.raises(ValueError, match=words):
        BUILDERS[name](**arguments)


@every_builder
def test_refuses_a_foreign_weights_file(name, tmp_path):
    path = tmp_path / "foreign.weights.h5"
    path.write_bytes(b"no weights")
    with pytest.raises(ValueError, match=r"foreign\.weights\.h5"):
        BUILDERS[name](weights=path)
