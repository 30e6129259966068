"""Networks that keep the order in which the GPU's kernels make channels.

They are traced for a GPU that is not there, and computed on the CPU by JAX's operations.
"""

import keras
import numpy as np
import pytest

if keras.backend.backend() != "jax":
    pytest.skip("about JAX", allow_module_level=True)

import jax
import jax.numpy as jnp
from jax.test_util import check_grads
from traced_networks import (
    SHAPE,
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
from keras_ssc.native import channel_order
from keras_ssc.native.channel_order import Order

pytestmark = pytest.mark.jax


@pytest.fixture
def gpu(monkeypatch):
    """Layers are traced for a GPU that is not there."""
    trace_for_a_gpu(monkeypatch)


def residual_block(x):
    """The sum of two that are in different orders, one of them point-wise, with a stride."""
    x = norm(scale=False)(conv()(x))
    shortcut = norm(None)(conv(64, kernel_size=1, g=0, p=2, strides=2)(x))
    y = norm()(conv(64, p=3, strides=2)(x), residual=shortcut)
    return keras.layers.GlobalAveragePooling2D()(y)


def chain(length):
    def layers(x):
        y = x
        for _ in range(length):
            y = norm()(conv()(y), residual=y if y is not x else None)
        return y

    return layers


def test_network_trains_as_without_orders(gpu):
    """Loss, gradients and moving statistics."""
    model = model_of(residual_block)
    check(step(call(model, training=True)), *values(model), images())
    assert not channel_order._made_of  # no tensor outlived its trace


def test_network_in_bfloat16(gpu):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = model_of(chain(2))
    finally:
        keras.config.set_dtype_policy("float32")
    run = call(model, training=True)
    assert permutations(run, *values(model), images("bfloat16")) == 2
    check(run, *values(model), images("bfloat16"), tolerance=2e-2)


@pytest.mark.parametrize("length", [2, 5])
def test_a_chain_permutes_what_it_is_given_and_what_it_gives(gpu, length):
    """However long it is; with gradients, the gradient by its result too."""
    model = model_of(chain(length))
    arguments = [*values(model), images()]
    for training in (False, True):
        assert permutations(call(model, training), *arguments) == 2
    assert permutations(step(call(model, training=True)), *arguments) == 3
    with channel_order.each_layer_alone():
        assert permutations(call(model), *arguments) == 0  # its layers do it inside


def test_without_a_gpu_there_are_no_orders():
    if jax.default_backend() == "gpu":
        pytest.skip("there is a GPU")
    model = model_of(chain(2))
    assert "keras_ssc_permute" not in str(jax.make_jaxpr(call(model))(*values(model), images()))


def test_layers_that_are_called_outside_of_a_program_stand_alone(gpu):
    layer = conv()
    y = layer(images())
    assert channel_order.order_of(y) is None


def test_folded_network(gpu):
    """Bias, residual and ReLU are the convolutions' own."""
    folded = keras_ssc.fold(model_of(chain(3)))
    arguments = [*values(folded), images()]
    assert permutations(call(folded), *arguments) == 2
    check(call(folded), *arguments)


def bottlenecks(x):
    """3x3 layers between point-wise ones that are computed dense, as in ResNet-50."""
    point = {"kernel_size": 1, "g": 0, "p": 2, "execution": "dense"}
    for strides in (1, 2):
        y = norm()(conv(**point)(x))
        y = norm()(conv(strides=strides)(y))
        shortcut = norm(None)(conv(64, **point, strides=strides)(x))
        x = norm()(conv(64, **point)(y), residual=shortcut)
    return x


def test_dense_layers_take_and_give_the_order(gpu):
    """Their kernels are permuted in place of the channels: none in a folded network."""
    model = model_of(bottlenecks)
    folded = keras_ssc.fold(model)
    for own in (model, folded):
        check(call(own), *values(own), images())
    assert permutations(call(folded), *values(folded), images()) == 0
    check(step(call(model, training=True)), *values(model), images())
    assert permutations(call(model, training=True), *values(model), images()) == 2
    assert not channel_order._makers  # no tensor outlived its trace


def test_a_dense_layer_whose_result_is_read_in_both_orders(gpu):
    layers = [conv(kernel_size=1, g=0, p=2, execution="dense"), conv()]

    def both(x):
        x = layers[0](x)
        return keras.layers.Concatenate()([x, layers[1](x)])

    model = model_of(both)
    check(step(call(model, training=True)), *values(model), images())


def test_what_is_read_elsewhere_is_in_its_own_order(gpu):
    """The output of a layer asked for by name, an activation of Keras, and remat."""
    model = model_of(chain(2))
    first = model.layers[2].output
    both = keras.Model(model.input, [keras.layers.Activation("tanh")(first), first, model.output])
    check(call(both), *values(both), images())
    model = model_of(chain(1))
    again = jax.checkpoint(call(model, training=True))
    check(step(again), *values(model), images())


def test_a_tensor_from_outside_a_trace_may_be_read_inside_and_after(gpu):
    layers = [conv() for _ in range(3)]
    for layer in layers:
        layer.build(SHAPE)

    def function(x):
        y = layers[0](x)
        inside = jax.checkpoint(lambda z: layers[1](y) * z)(jnp.ones(SHAPE))
        mapped = jax.vmap(lambda z: layers[1](y + z))(jnp.arange(2.0))
        return inside + layers[2](y) + mapped.sum(0)

    with jax.checking_leaks():
        jax.make_jaxpr(function)(images())
    check(function, images())


def test_permutation_is_linear_in_both_modes_and_mapped(gpu):
    x, own = images(), Order.of(np.random.default_rng(2).permutation(32))

    def there_and_back(x):
        return channel_order.in_order(channel_order.restored(x, own) * 1.0, own)

    for function in (there_and_back, jax.jit(there_and_back), jax.vmap(there_and_back)):
        np.testing.assert_array_equal(function(x), x)
    moved = jax.vmap(lambda x: channel_order.in_order(x, own), in_axes=1, out_axes=1)(x)
    np.testing.assert_array_equal(moved, x[..., own.channels])
    check_grads(lambda x: channel_order.in_order(x, own), (x,), order=2)
    other = Order.of(np.roll(np.arange(32), 3))

    def from_order_to_order(x):
        return channel_order.in_order(channel_order.restored(x[..., own.channels], own), other)

    np.testing.assert_array_equal(jax.jit(from_order_to_order)(x), x[..., other.channels])
