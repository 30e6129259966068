"""Every builder of keras_ssc.applications: sizes, sparsity, files, precision, refusals."""

import functools
import inspect
import math

import keras
import numpy as np
import pytest

import keras_ssc
from keras_ssc import applications

BUILDERS = {name: getattr(applications, name) for name in applications.__all__}
# Trainable parameters of the dense counterpart with 10 classes (a published or hand-made count).
DENSE_PARAMETERS = {
    "VGG11": 9_228_362,
    "VGG13": 9_413_066,
    "VGG16": 14_724_042,
    "VGG19": 20_035_018,
    "ResNet20": 1_084_586,
    "ResNet32": 1_860_522,
    "ResNet44": 2_636_458,
    "ResNet56": 3_412_394,
    "ResNet110": 6_904_106,
    "ResNet18": 11_689_512 - 990 * 513,
    "ResNet50": 25_557_032 - 990 * 2049,
    "MobileNetV2": 2_296_922,
    "ShuffleNetV2": 1_263_854,
}
# Networks whose sparse layers are all 1x1, and share of all parameters that p = 2 leaves (table 5).
POINTWISE = {"MobileNetV2": 0.524, "ShuffleNetV2": 0.522}
every_builder = pytest.mark.parametrize("name", BUILDERS)
# The first of each module: its deeper siblings differ by a number of layers only.
FAMILIES = {builder.__module__: name for name, builder in reversed(BUILDERS.items())}
every_family = pytest.mark.parametrize("name", FAMILIES.values())
# All builders, the deeper siblings in the campaign.
SHORT_AND_LONG = [
    name if name in FAMILIES.values() else pytest.param(name, marks=pytest.mark.campaign)
    for name in BUILDERS
]


@functools.cache
def built(name, **arguments):
    """Return a model, on small images by default; each is built once."""
    return BUILDERS[name](**{"input_shape": (16, 16, 3), "classes": 10} | arguments)


def small(name):
    """g and p that every sparse layer can take."""
    return {"g": 0 if name in POINTWISE else 2, "p": 2}


def trainable(model):
    return sum(math.prod(variable.shape) for variable in model.trainable_variables)


def sparse_layers(model):
    return [layer for layer in model.layers if isinstance(layer, keras_ssc.SSCConv2D)]


def counted(model):
    """Return (live, dense) kernel weights, counted from outside."""
    live = dense = 0
    for layer in model.layers:
        if isinstance(layer, keras_ssc.SSCConv2D):
            live += layer.pattern.weight_count
            dense += layer.pattern.dense_weight_count
        elif hasattr(layer, "kernel"):
            live += math.prod(layer.kernel.shape)
            dense += math.prod(layer.kernel.shape)
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
        "distribution": "auto",
    }
    assert {one: parameters[one].default for one in usual} == usual
    assert parameters["name"].default == name.lower()


@every_builder
def test_dense_twin_has_the_known_size(name):
    model = built(name, sparsity=0.0)
    assert not sparse_layers(model)
    assert trainable(model) == DENSE_PARAMETERS[name]


@pytest.mark.parametrize("name", SHORT_AND_LONG)
def test_wanted_sparsity_is_reached(name):
    live, dense = counted(built(name, sparsity=0.95))
    assert dense == counted(built(name, sparsity=0.0))[0]
    assert 1 - live / dense == pytest.approx(0.95, abs=0.003)


@every_builder
def test_sparsity_is_0_9_unless_the_paper_says_otherwise(name):
    if name in POINTWISE:
        assert {(one.pattern.g, one.pattern.p) for one in sparse_layers(built(name))} == {(0, 2)}
        share = trainable(built(name)) / DENSE_PARAMETERS[name]
        assert share == pytest.approx(POINTWISE[name], abs=0.003)
    else:
        live, dense = counted(built(name))
        assert 1 - live / dense == pytest.approx(0.9, abs=0.003)


def spread(model):
    """Largest over smallest number of weights of a filter, among the wide sparse layers."""
    wide = [layer.pattern for layer in sparse_layers(model) if layer.pattern.in_channels >= 64]
    a_filter = [pattern.weight_count / pattern.filters for pattern in wide]
    return max(a_filter) / min(a_filter)


@every_family
def test_budget_per_filter_is_reached_and_more_even(name):
    model = built(name, sparsity=0.9, distribution="per_filter")
    live, dense = counted(model)
    assert 1 - live / dense == pytest.approx(0.9, abs=0.003)
    assert spread(model) < 0.7 * spread(built(name, sparsity=0.9))


@every_family
def test_g_and_p_are_used_as_given(name):
    g = 0 if name in POINTWISE else 4
    sparse = sparse_layers(built(name, g=g, p=5))
    assert sparse
    for layer in sparse:
        assert layer.pattern.g == (0 if layer.kernel_size == (1, 1) else g)
        assert layer.pattern.p == 5


@every_family
def test_saved_file_predicts_the_same(name, tmp_path):
    x = np.random.default_rng(0).normal(size=(2, 16, 16, 3)).astype("float32")
    model = built(name)
    expected = np.array(model(x, training=False))
    np.testing.assert_allclose(expected.sum(axis=1), 1, rtol=1e-5)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again(x, training=False), expected, rtol=1e-5, atol=1e-6)


@every_family
def test_weights_are_read_from_a_file(name, tmp_path):
    path = tmp_path / "model.weights.h5"
    model = built(name)
    model.save_weights(path)
    again = BUILDERS[name](weights=path, input_shape=(16, 16, 3), classes=10)
    for one, other in zip(model.variables, again.variables, strict=True):
        np.testing.assert_array_equal(one, other)


@every_family
def test_mixed_precision_ends_in_float32(name):
    model = built(name, dtype="mixed_bfloat16", **small(name))
    assert model.output.dtype == "float32"
    assert {variable.dtype for variable in model.trainable_variables} == {"float32"}


@every_family
def test_channels_first_and_open_sizes_keep_the_shape(name):
    first = built(name, input_shape=(3, 16, 16), data_format="channels_first", **small(name))
    assert first.output_shape == (None, 10)
    body = built(name, input_shape=(None, None, 3), include_top=False, **small(name))
    assert body.output_shape[:3] == (None, None, None)


@every_builder
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"sparsity": 0.9, "g": 8, "p": 3}, "not both"),
        ({"g": 8}, "go together"),
        ({"g": 500, "p": 3}, "500"),
        ({"sparsity": 1.0}, "sparsity"),
        ({"sparsity": 0.9, "distribution": "even"}, "`distribution`"),
        ({"classes": 0}, "`classes`"),
        ({"pooling": "min"}, "`pooling`"),
        ({"input_shape": (32, 32)}, "`input_shape`"),
        ({"weights": "nowhere.weights.h5"}, "nowhere.weights.h5"),
    ],
)
def test_refuses_with_a_clear_word(name, arguments, words):
    with pytest.raises(ValueError, match=words):
        BUILDERS[name](**arguments)


def test_refuses_what_no_setting_reaches():
    with pytest.raises(ValueError, match="Nearest"):
        applications.ResNet20(sparsity=0.9999)


def test_refuses_unknown_arguments_and_positions():
    with pytest.raises(TypeError, match="depth"):
        applications.ResNet20(depth=3)
    with pytest.raises(TypeError):
        applications.ResNet20(True)


@every_family
def test_refuses_a_foreign_weights_file(name, tmp_path):
    path = tmp_path / "foreign.weights.h5"
    path.write_bytes(b"no weights")
    with pytest.raises(ValueError, match=r"foreign\.weights\.h5"):
        BUILDERS[name](weights=path, input_shape=(16, 16, 3), **small(name))
