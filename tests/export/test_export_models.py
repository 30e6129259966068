"""What export must take: every activation, mixed precision, classes of one's own; else by name."""

import inspect
import math

import keras
import numpy as np
import pytest
from test_export import needs
from test_inference_model import lively

import keras_ssc
from keras_ssc.export._export import FORMATS

L = keras.layers

# "threshold" has two arguments without defaults, so no layer can name it.
ACTIVATIONS = sorted(
    name
    for name, function in vars(keras.activations).items()
    if inspect.isfunction(function) and name not in ("get", "serialize", "deserialize", "threshold")
)


def written(model, format, tmp_path, **options):
    """Export a model; returns (the file as a function of its runtime, report)."""
    needs(format)
    path = tmp_path / f"model{FORMATS[format].SUFFIX}"
    report = keras_ssc.export(model, path, format, **options)
    return lambda inputs: FORMATS[format].load(path)(inputs), report


@pytest.mark.parametrize("format", FORMATS)
def test_every_activation(format, tmp_path):
    x = inputs = keras.Input((6, 6, 8))
    outputs = {}
    for name in ACTIVATIONS:
        fused = keras_ssc.SSCConv2D(8, 3, g=4, p=2, activation=None if name == "glu" else name)
        outputs[name] = L.Activation(name)(x) if name == "glu" else fused(x)
    assert len(outputs) >= 31
    model = lively(keras.Model(inputs, list(outputs.values())))
    serve, report = written(model, format, tmp_path)
    assert report.largest_difference < 1e-5
    images = np.random.default_rng(2).normal(size=(2, 6, 6, 8)).astype("float32")
    for name, expected, found in zip(outputs, model(images), serve([images]), strict=True):
        expected = keras.ops.convert_to_numpy(expected)
        scale = np.abs(expected).max()
        np.testing.assert_allclose(found / scale, expected / scale, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("format", ["onnx", "openvino"])
def test_what_onnx_has_no_operation_for(format, tmp_path):
    inputs = keras.Input((81,))
    model = keras.Model(inputs, [1 - keras.ops.erf(inputs), keras.ops.expm1(inputs)])
    gelu = keras.Model(inputs, keras.activations.gelu(inputs, approximate=False))
    x = np.linspace(-8, 2, 81, dtype="float32")[None]
    erfc, expm1 = written(model, format, tmp_path)[0]([x])
    (product,) = written(gelu, format, tmp_path, overwrite=True)[0]([x])
    expected = np.array([math.erfc(value) for value in x[0].tolist()])
    np.testing.assert_allclose(erfc[0], expected, atol=1e-6)
    np.testing.assert_allclose(expm1[0], np.expm1(x[0]), rtol=1e-6, atol=1e-6)
    expected = [value / 2 * math.erfc(-value / math.sqrt(2)) for value in x[0].tolist()]
    np.testing.assert_allclose(product[0], expected, atol=1e-6)


def pair(policy):
    """Two networks of the same weights: under a dtype policy, and in float32."""
    networks = []
    for dtype in (policy, "float32"):
        keras.utils.set_random_seed(3)
        inner_input = keras.Input((8, 8, 16))
        inner = keras_ssc.SSCConv2D(16, 3, padding="same", g=4, p=3, dtype=dtype)(inner_input)
        inner = L.DepthwiseConv2D(3, padding="same", dtype=dtype)(inner)
        inner = keras.Model(inner_input, L.BatchNormalization(dtype=dtype)(inner))
        x = inputs = keras.Input((8, 8, 3))
        x = L.Conv2D(16, 3, padding="same", dtype=dtype)(x)
        x = keras_ssc.layers.FusedBatchNormalization(activation="relu", dtype=dtype)(x)
        x = L.Add(dtype=dtype)([x, inner(x)])
        steps = L.TimeDistributed(L.Dense(6, dtype=dtype), dtype=dtype)
        x = L.GlobalAveragePooling2D(dtype=dtype)(steps(x))
        x = L.Dense(4, activation="softmax", dtype="float32")(x)
        networks.append(keras.Model(inputs, x))
    lively(networks[0])
    networks[1].set_weights([np.asarray(w, "float32") for w in networks[0].get_weights()])
    return networks


POLICIES = ["mixed_float16", "mixed_bfloat16", "float16", "bfloat16"]
# Each policy and each format; the other pairs are in the campaign: the copy is the same for all.
PAIRS = [
    pytest.param(policy, format, marks=[] if i == j % len(POLICIES) else pytest.mark.campaign)
    for i, policy in enumerate(POLICIES)
    for j, format in enumerate(FORMATS)
]


@pytest.mark.parametrize(("policy", "format"), PAIRS)
def test_a_model_of_16_bits_is_written_in_float32(format, policy, tmp_path):
    mixed, plain = pair(policy)
    policies = [layer.dtype_policy for layer in mixed.layers]
    serve, report = written(mixed, format, tmp_path)
    assert report.largest_difference < 1e-5
    images = np.random.default_rng(2).normal(size=(2, 8, 8, 3)).astype("float32")
    (found,) = serve([images])
    assert np.asarray(found).dtype == "float32"
    expected = keras.ops.convert_to_numpy(plain(images))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert [layer.dtype_policy for layer in mixed.layers] == policies


def test_a_model_of_float32_is_not_copied():
    from keras_ssc.export.precision import in_float32

    _, plain = pair("mixed_bfloat16")
    assert in_float32(plain) is plain


@pytest.mark.parametrize("format", FORMATS)
def test_float64_works_or_names_the_layer(format, tmp_path):
    inputs = keras.Input((8, 8, 4), dtype="float64")
    x = keras_ssc.SSCConv2D(8, 3, g=4, p=3, dtype="float64", name="wide")(inputs)
    model = lively(keras.Model(inputs, x))
    if format in ("litert", "onnx"):
        with pytest.raises(ValueError, match=r"can't be .*\(Layer 'wide' computes in float64\.\)"):
            written(model, format, tmp_path)
        assert not list(tmp_path.iterdir())
    else:
        assert written(model, format, tmp_path)[1].largest_difference < 1e-5


class Scale(L.Layer):
    """Not registered with Keras."""

    def build(self, input_shape):
        self.factor = self.add_weight(shape=input_shape[-1:], initializer="ones")

    def compute_output_shape(self, input_shape):
        return input_shape

    def call(self, x):
        return x * self.factor


class Tenths(keras.initializers.Initializer):
    """Not registered with Keras."""

    def __call__(self, shape, dtype=None):
        return keras.ops.full(shape, 0.1, dtype)


def square(x):
    return x * x


@pytest.mark.parametrize("format", FORMATS)
def test_classes_and_functions_that_are_not_registered(format, tmp_path):
    x = inputs = keras.Input((8, 8, 4))
    x = keras_ssc.SSCConv2D(8, 3, g=4, p=3, activation=square, kernel_initializer=Tenths())(x)
    x = L.TimeDistributed(Scale())(Scale(name="outer")(x))
    model = lively(keras.Model(inputs, x))
    _, report = written(model, format, tmp_path)
    assert report.largest_difference < 1e-5
    if format == "keras":  # as of `model.save`
        objects = {"Scale": Scale, "Tenths": Tenths, "square": square}
        loaded = keras.models.load_model(report.path, custom_objects=objects)
        images = np.ones((1, 8, 8, 4), "float32")
        np.testing.assert_allclose(loaded(images), model(images), rtol=1e-5)
    with keras.saving.custom_object_scope({"Scale": Scale}):
        written(model, format, tmp_path, overwrite=True)
    with pytest.raises(TypeError):  # nothing stays registered
        keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(Scale()))


@pytest.mark.parametrize("format", FORMATS)
def test_what_has_no_config_is_named_in_few_words(format, tmp_path):
    inputs = keras.Input((4,))
    x = L.Dense(2, activation=lambda x: 2 * x, name="twice")(inputs)
    with pytest.raises(
        ValueError, match=r"`model` can't be .*[Ll]ayer .twice. \(Dense\)"
    ) as caught:
        written(keras.Model(inputs, x), format, tmp_path)
    assert len(str(caught.value)) < 600
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("format", "library"), [("litert", "LiteRT"), ("onnx", "ONNX")])
def test_an_operation_that_the_format_lacks_is_named(format, library, tmp_path):
    inputs = keras.Input((4, 4))
    model = keras.Model(inputs, keras.ops.svd(inputs, compute_uv=False))
    with pytest.raises(ValueError, match=f"as {format}: {library} has no operation for .* Svd"):
        written(model, format, tmp_path)
    assert not list(tmp_path.iterdir())
