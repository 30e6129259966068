"""Every kind of model through every function that copies models: the same model, or a refusal.

A model is one function in every_model.py or every_custom_model.py, a route one function in ROUTES.
A route gives the model that it makes and what that has to compute; or it is refused, by name, as
every_refusal.py says. Nothing else may differ: names, classes, inputs, what is trainable, states of
seeds.
"""

import functools

import keras
import numpy as np
import pytest
from every_custom_model import MODELS
from every_model import TENSORFLOW_ONLY
from every_refusal import KERAS_FORGETS, refusal

import keras_ssc
from keras_ssc import pruning
from keras_ssc.export._export import FORMATS
from keras_ssc.model_copy import copy_graph
from keras_ssc.model_graph import ends, held_by_graph, held_layers, walk
from keras_ssc.pruning.channel_groups import follow_channels

pytestmark = pytest.mark.jax_long
ON_TENSORFLOW = keras.backend.backend() == "tensorflow"


@functools.cache
def made(name):
    """A model with values of its own in all weights, and its inputs."""
    keras.utils.set_random_seed(1)
    model, inputs = MODELS[name]()
    random = np.random.default_rng(2)
    for layer in _inside(model):
        for weight in getattr(layer, "_trainable_variables", []):
            value = np.array(keras.ops.convert_to_numpy(weight), "float32")
            if keras.backend.is_float_dtype(weight.dtype):
                weight.assign(value + random.uniform(0.01, 0.1, value.shape))
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.moving_mean.assign(random.normal(0, 0.3, layer.moving_mean.shape))
            layer.moving_variance.assign(random.uniform(0.5, 1.5, layer.moving_mean.shape))
    return model, inputs


def _inside(layer):
    """All layers inside a model, by Keras's own list of them."""
    return layer._flatten_layers()


def outputs(model, inputs, training=False):
    y = keras.tree.flatten(model(inputs, training=training))
    return [keras.ops.convert_to_numpy(keras.ops.cast(one, "float32")) for one in y]


def with_zeros(model, inputs, zeros):
    """What a model computes with zeros in its kernels where `zeros`, a dict by id, has True."""
    layers = [layer for layer in _inside(model) if id(layer) in zeros]
    # Of a separable convolution it is the 1x1 kernel that becomes sparse.
    kernels = [
        layer.pointwise_kernel if hasattr(layer, "pointwise_kernel") else layer.kernel
        for layer in layers
    ]
    before = [np.array(keras.ops.convert_to_numpy(kernel)) for kernel in kernels]
    try:
        for layer, kernel, value in zip(layers, kernels, before, strict=True):
            kernel.assign(np.where(zeros[id(layer)], np.zeros_like(value), value))
        return outputs(model, inputs)
    finally:
        for kernel, value in zip(kernels, before, strict=True):
            kernel.assign(value)


# Routes: model, inputs -> (what it makes, what that has to compute).


def copy(model, inputs):
    return copy_graph(model)[0], outputs(model, inputs)


def sparsify(model, inputs):
    plan = keras_ssc.conversion_plan(model, 0.5)
    zeros = {id(one.layer): ~one.pattern.mask() for one in plan.layers if one.pattern}
    assert zeros
    return keras_ssc.sparsify(model, 0.5, from_dense=True), with_zeros(model, inputs, zeros)


def densify(model, inputs):
    sparse = keras_ssc.sparsify(model, 0.5)
    return keras_ssc.densify(sparse), outputs(sparse, inputs)


def apply_masks(model, inputs):
    masks = pruning.magnitude(model, 0.5)
    layers = pruning.prunable_layers(model)
    zeros = {id(layers[name]): ~mask for name, mask in masks.items()}
    return pruning.apply_masks(model, masks), with_zeros(model, inputs, zeros)


def remove_masks(model, inputs):
    new, expected = apply_masks(model, inputs)
    return pruning.remove_masks(new), expected


def slimming(model, inputs):
    return pruning.slimming(model, 0.1), outputs(model, inputs)


def remove_filters(model, inputs):
    kept = pruning.l1_filters(model, 0.5)
    small, channels = pruning.remove_filters(model, kept), follow_channels(model)
    gone = [np.delete(channels.written[name], stay) for name, stay in kept.items()]
    assert small.count_params() < model.count_params()
    # A removed channel is one that no layer reads.
    zeros = {
        id(layer): np.isin(channels.read[layer.name], np.concatenate(gone))[:, None]
        for layer in _inside(model)
        if layer.name in channels.makers
    }
    return small, with_zeros(model, inputs, zeros)


def fold(model, inputs):
    return keras_ssc.fold(model), outputs(model, inputs)


ROUTES = {
    route.__name__: route
    for route in (
        copy, sparsify, densify, apply_masks, remove_masks, slimming, remove_filters, fold,
    )
}  # fmt: skip


def looks(model):
    """What every copy has in common: names and classes of models, inputs, what is trainable."""
    inputs = [(x.name, x.dtype) for x in model.inputs]
    entries = keras.Model.layers.fget(model)
    graph, layers = walk(model, held_by_graph), walk(model, held_layers)
    return {
        "inputs": inputs,
        "entries": [one.name for one in entries if isinstance(one, keras.layers.InputLayer)],
        "models": [(type(one), one.name) for one in layers if isinstance(one, keras.Model)],
        "layers": [
            (one.name, one.trainable, one.dtype_policy.name)
            for one in graph
            if not one.name.endswith("_depthwise")  # the half of a separable one that is not sparse
        ],
        "inside": [(type(one), one.trainable, one.dtype_policy.name) for one in layers],
        "structure": keras.tree.map_structure(lambda x: x.name, ends(model)[0]),
        "ends": keras.tree.map_structure(lambda x: str(x.dtype), ends(model)[1]),
    }


def agree(found, expected, tolerance=1e-4):
    for one, other in zip(found, expected, strict=True):
        scale = np.abs(other).max() or 1.0
        np.testing.assert_allclose(one, other, rtol=0, atol=tolerance * scale)


@functools.cache
def computes_channels_first():
    """Whether this machine does: TensorFlow has no such convolution on a CPU without oneDNN."""
    layer = keras.layers.Conv2D(4, 3, data_format="channels_first")
    try:
        layer(np.zeros((1, 4, 6, 6), "float32"))
    except Exception as error:
        if "NHWC" in str(error):
            return False
        raise
    return True


def model_of(name):
    if name in TENSORFLOW_ONLY and not ON_TENSORFLOW:
        pytest.skip("Keras has these layers on TensorFlow alone")
    if name == "channels_first" and not computes_channels_first():
        pytest.skip("this machine has no convolution with the channels first")
    return made(name)


# `remove_masks` takes off what `apply_masks` has put on: the long form runs it. No copy depends on
# the backend but for what computes in it: on JAX three routes do.
LONG = {"remove_masks"} if ON_TENSORFLOW else ROUTES.keys() - {"copy", "sparsify", "fold"}
SHORT_AND_LONG = [
    pytest.param(route, marks=pytest.mark.campaign) if route in LONG else route for route in ROUTES
]


@pytest.mark.parametrize("route", SHORT_AND_LONG)
@pytest.mark.parametrize("name", MODELS)
def test_a_route_keeps_the_model_or_refuses_it(name, route):
    model, inputs = model_of(name)
    before = looks(model), [np.array(one) for one in model.get_weights()]
    if says := refusal(name, route):
        with pytest.raises(ValueError, match=says):
            ROUTES[route](model, inputs)
    else:
        new, expected = ROUTES[route](model, inputs)
        agree(outputs(new, inputs), expected, 0.02 if name == "mixed_precision" else 1e-4)
        if route == "fold":
            assert new.trainable == model.trainable
            assert looks(new)["inputs"] == before[0]["inputs"]
            assert looks(new)["structure"] == before[0]["structure"]
        else:
            assert {**looks(new), "inside": 0} == {**before[0], "inside": 0}
        if route == "copy":
            assert looks(new) == before[0]
            assert [one.trainable for one in new.weights] == [
                one.trainable for one in model.weights
            ]
            assert getattr(new, "weight", None) == getattr(model, "weight", None)
    assert looks(model) == before[0]
    for now, then in zip(model.get_weights(), before[1], strict=True):
        np.testing.assert_array_equal(now, then)


@pytest.mark.parametrize("name", MODELS)
def test_a_sparse_copy_is_saved_and_loaded(name, tmp_path):
    model, inputs = model_of(name)
    if refusal(name, "sparsify"):
        pytest.skip("refused by sparsify")
    sparse = keras_ssc.sparsify(model, 0.5)
    again = saved(sparse, tmp_path)
    if name not in KERAS_FORGETS:
        agree(outputs(again, inputs), outputs(sparse, inputs))
    assert looks(again)["models"] == looks(sparse)["models"]
    assert pruning.live_weights(again) == pruning.live_weights(sparse)


def saved(model, folder):
    model.save(folder / "model.keras")
    return keras.models.load_model(folder / "model.keras")


@pytest.mark.parametrize("name", MODELS)
def test_live_weights_are_those_that_compute(name):
    """Counted by Keras's own list of layers: kernels of Dense layers and convolutions."""
    model, _ = model_of(name)
    live = 0
    for layer in _inside(model):
        if isinstance(layer, keras_ssc.SSCConv2D):
            live += sum(int(np.prod(one.shape)) for one in layer.weights) - (
                layer.filters if layer.use_bias else 0
            )
        elif hasattr(layer, "kernel_mask"):
            live += int(keras.ops.convert_to_numpy(layer.kernel_mask).sum())
        elif hasattr(layer, "pointwise_kernel"):
            live += int(np.prod(layer.depthwise_kernel.shape))
            live += int(np.prod(layer.pointwise_kernel.shape))
        elif isinstance(layer, keras.layers.Dense) or "Conv" in type(layer).__name__:
            live += int(np.prod(layer.kernel.shape))
    assert pruning.live_weights(model) == live == keras_ssc.summary(model).live_weights


@pytest.mark.parametrize("name", ["dropout", "augmentation"])
def test_random_layers_go_on_alike(name):
    model, inputs = MODELS[name]()
    first = outputs(model, inputs, training=True)
    new, _ = copy_graph(model)
    second = outputs(model, inputs, training=True)
    agree(outputs(new, inputs, training=True), second)
    assert np.abs(first[0] - second[0]).max() > 0


@pytest.mark.campaign
@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("name", MODELS)
def test_a_file_computes_the_same_or_is_refused(name, format, tmp_path):
    if not ON_TENSORFLOW:
        pytest.skip("TensorFlow writes the files")
    model, inputs = model_of(name)
    path = tmp_path / f"model{FORMATS[format].SUFFIX}"
    tolerance = 0.02 if name == "mixed_precision" else 1e-4
    if says := refusal(name, f"export-{format}"):
        with pytest.raises((ValueError, RuntimeError), match=says):
            keras_ssc.export(model, path, format, tolerance=tolerance)
        assert not path.exists()
        return
    try:
        keras_ssc.export(model, path, format, tolerance=tolerance)
    except ValueError as error:
        if "does not support grouped convolutions" in str(error):
            pytest.skip("without oneDNN, TensorFlow's graphs have no groups with a bias on a CPU")
        raise
    flat = [np.asarray(x) for x in keras.tree.flatten(inputs)]
    agree(FORMATS[format].load(path)(flat), outputs(model, inputs), tolerance)
