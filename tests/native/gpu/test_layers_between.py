"""Keras's layers between sparse ones, in programs for a GPU: pooling, padding, Conv2D."""

import keras
import numpy as np
import pytest

if keras.backend.backend() != "jax":
    pytest.skip("about JAX", allow_module_level=True)

import jax
from traced_networks import (
    call,
    check,
    conv,
    images,
    model_of,
    norm,
    permutations,
    step,
    trace_for_a_gpu,
    values,
)

import keras_ssc
from keras_ssc.layers import channel_wise
from keras_ssc.layers.channel_wise import MaxPooling2D, ZeroPadding2D
from keras_ssc.native import channel_order

pytestmark = pytest.mark.jax


@pytest.fixture
def gpu(monkeypatch):
    """Layers are traced for a GPU that is not there."""
    trace_for_a_gpu(monkeypatch)


def pools(x):
    x = MaxPooling2D(2, padding="same")(norm()(conv()(x)))
    return norm()(conv(64, padding="valid", strides=2)(ZeroPadding2D(1)(x)))


def test_pooling_and_padding_keep_the_order(gpu):
    model = model_of(pools)
    arguments = [*values(model), images()]
    assert permutations(call(model), *arguments) == 2
    check(call(model), *arguments)
    check(step(call(model, training=True)), *arguments, tolerance=1e-4)
    layers = keras.Model.from_config(model.get_config()).layers
    assert [type(one) for one in layers] == [type(one) for one in model.layers]
    names = {type(one).__name__ for one in layers}
    assert names >= {"MaxPooling2D", "ZeroPadding2D", "BatchNormalization"}


def padded(x):
    """By one pixel for a stride of two, unevenly, and around what is in no order."""
    y = norm()(conv(64, padding="valid", strides=2)(ZeroPadding2D(1)(x)))
    y = norm()(conv(32, padding="valid")(ZeroPadding2D(((0, 2), (3, 1)))(y)))
    return conv(32, padding="same")(ZeroPadding2D(1)(y))


def geometries(jaxpr):
    """Of all native convolutions in a program."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "keras_ssc_convolution":
            yield equation.params["geometry"]
        for inner in jax.tree.leaves(list(equation.params.values())):
            if hasattr(inner := getattr(inner, "jaxpr", inner), "eqns"):
                yield from geometries(inner)


def test_no_padded_map_is_written_for_a_convolution_that_pads_by_itself(gpu):
    model = model_of(padded)
    arguments = [*values(model), images()]
    check(call(model), *arguments)
    check(step(call(model, training=True)), *arguments, tolerance=1e-4)
    program = jax.make_jaxpr(call(model))(*arguments).jaxpr
    pads = {geometry.padding for geometry in geometries(program)}
    assert pads == {((1, 1), (1, 1)), ((0, 2), (3, 1)), "same"}


def keras_blocks(x):
    """As in ResNet-50 of keras.applications, before `sparsify`; of images of three channels."""
    x = x[..., :3]
    x = keras.layers.Conv2D(32, 3, padding="same", use_bias=False, name="stem")(x)
    x = keras.layers.Activation("relu")(keras.layers.BatchNormalization()(x))
    x = keras.layers.MaxPooling2D(2)(keras.layers.ZeroPadding2D(1)(x))
    for _ in range(2):
        y = keras.layers.Conv2D(32, 3, padding="same", use_bias=False)(x)
        y = keras.layers.ReLU()(keras.layers.BatchNormalization()(y))
        y = keras.layers.Conv2D(32, 3, padding="same", use_bias=False)(y)
        y = keras.layers.BatchNormalization()(y)
        x = keras.layers.Activation("relu")(keras.layers.Add()([x, y]))
    x = keras.layers.AveragePooling2D(2, padding="same")(x)
    x = keras.layers.Conv2D(16, 1, name="dense")(x)
    return keras.layers.GlobalAveragePooling2D()(x)


def test_a_model_from_sparsify_keeps_the_order(gpu):
    """All of Keras's layers between the convolutions; the dense one permutes its kernel."""
    plain = model_of(keras_blocks)
    model = keras_ssc.sparsify(plain, 0.8, keep=["stem", "dense"], execution="native")
    for variable in model.variables:
        variable.assign(np.random.default_rng(4).uniform(0.2, 1, variable.shape))
    arguments = [*values(model), images()]
    check(step(call(model, training=True)), *arguments, tolerance=1e-4)
    folded = keras_ssc.fold(model)
    for run in (call(model, training=True), call(model)):  # what the pooling gives, for two readers
        assert permutations(run, *arguments) == 2
    assert permutations(call(folded), *values(folded), images()) == 2
    for own in (model, folded):
        check(call(own), *values(own), images(), tolerance=1e-4)
    assert not channel_order._makers


def behind_a_first_convolution(x):
    """As in VGG19: of a network's own layers, dense and sparse."""
    x = x[..., :3]
    x = norm()(channel_wise.Conv2D(32, 3, padding="same", use_bias=False)(x))
    return channel_wise.GlobalAveragePooling2D()(norm()(conv()(norm()(conv()(x)))))


def along_rows(x):
    """A BatchNormalization whose vectors belong to no channels."""
    x = channel_wise.Conv2D(32, 3, padding="same", use_bias=False)(x[..., :3])
    return conv()(norm(axis=1)(x))


def test_a_normalization_along_another_axis_reads_channels_in_their_own_order(gpu):
    model = model_of(along_rows)
    check(call(model), *values(model), images())


def test_a_first_convolution_in_bfloat16(gpu):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        folded = keras_ssc.fold(model_of(behind_a_first_convolution))
    finally:
        keras.config.set_dtype_policy("float32")
    assert permutations(call(folded), *values(folded), images("bfloat16")) == 0
    check(call(folded), *values(folded), images("bfloat16"), tolerance=2e-2)


def test_the_first_convolution_makes_its_channels_in_the_order_that_is_read(gpu):
    """Its kernel is permuted; nothing reads the map in its own order."""
    model = model_of(behind_a_first_convolution)
    folded = keras_ssc.fold(model)
    for own in (model, folded):
        assert permutations(call(own), *values(own), images()) == 0
        check(call(own), *values(own), images())
    check(step(call(model, training=True)), *values(model), images(), tolerance=1e-4)
