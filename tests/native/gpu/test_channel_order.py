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
from jax.extend.core import Literal
from jax.test_util import check_grads

import keras_ssc
from keras_ssc import SSCConv2D
from keras_ssc.layers import FusedBatchNormalization, channel_wise
from keras_ssc.layers.channel_wise import MaxPooling2D, ZeroPadding2D
from keras_ssc.native import channel_order
from keras_ssc.native.channel_order import Order
from keras_ssc.native.gpu import lowering, passes

pytestmark = pytest.mark.jax
SHAPE = (2, 4, 5, 32)


@pytest.fixture
def gpu(monkeypatch):
    """Layers are traced for a GPU, whose kernels serve."""
    monkeypatch.setattr(lowering, "find", lambda: (passes.Device(232448, None), None))
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")


def conv(filters=32, **more):
    settings = {"g": 8, "p": 7, "padding": "same", "use_bias": False, "execution": "native"}
    return SSCConv2D(filters, more.pop("kernel_size", 3), **(settings | more))


def norm(activation="relu", **more):
    return FusedBatchNormalization(activation=activation, **more)


def model_of(function):
    """A model with variables that all differ; the moving variances are positive."""
    inputs = keras.Input(SHAPE[1:])
    model = keras.Model(inputs, function(inputs))
    random = np.random.default_rng(1)
    for variable in model.variables:
        variable.assign(random.uniform(0.2, 1, variable.shape))
    return model


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


def images(dtype="float32"):
    return jnp.asarray(np.random.default_rng(0).integers(-2, 3, SHAPE), dtype)


def values(model):
    parts = (model.trainable_variables, model.non_trainable_variables)
    return [[variable.value for variable in variables] for variables in parts]


def call(model, training=False):
    return lambda *a: model.stateless_call(*a, training=training)


def step(function):
    """The gradients of the mean square of a model's output, and its moving statistics."""

    def loss(*arguments):
        y, other = function(*arguments)
        return jnp.mean(y**2), other

    return jax.value_and_grad(loss, has_aux=True)


def check(function, *arguments, tolerance=1e-5):
    """A program that keeps orders gives the numbers of one that does not."""
    kept = jax.jit(lambda *a: function(*a))(*arguments)
    with channel_order.each_layer_alone():
        alone = jax.jit(lambda *a: function(*a))(*arguments)
    assert jax.tree.structure(kept) == jax.tree.structure(alone)
    for one, other in zip(jax.tree.leaves(kept), jax.tree.leaves(alone), strict=True):
        assert one.dtype == other.dtype
        one, other = (np.asarray(array, "float32") for array in (one, other))
        scale = np.max(np.abs(other), initial=1e-6)
        np.testing.assert_allclose(one / scale, other / scale, atol=tolerance)


def permutations(function, *arguments):
    """Count permutations of maps in a program, those left out that nobody reads."""

    def walk(jaxpr, used):
        used, found = {one for one in used if not isinstance(one, Literal)}, 0
        for equation in reversed(jaxpr.eqns):
            if not used & set(equation.outvars):
                continue
            used |= {one for one in equation.invars if not isinstance(one, Literal)}
            one_of_ours = equation.primitive.name == "keras_ssc_permute"
            found += one_of_ours and equation.outvars[0].aval.shape[:-3] == SHAPE[:1]
            for inner in jax.tree.leaves(list(equation.params.values())):
                if hasattr(inner := getattr(inner, "jaxpr", inner), "eqns"):
                    both = zip(inner.outvars, equation.outvars, strict=True)
                    found += walk(inner, [own for own, outside in both if outside in used])
        return found

    jaxpr = jax.make_jaxpr(lambda *a: function(*a))(*arguments).jaxpr
    return walk(jaxpr, jaxpr.outvars)


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


def test_no_padded_map_is_written_for_a_convolution_that_pads_by_itself(gpu):
    model = model_of(padded)
    arguments = [*values(model), images()]
    check(call(model), *arguments)
    check(step(call(model, training=True)), *arguments, tolerance=1e-4)
    program = jax.make_jaxpr(call(model))(*arguments).jaxpr
    pads = {geometry.padding for geometry in geometries(program)}
    assert pads == {((1, 1), (1, 1)), ((0, 2), (3, 1)), "same"}


def geometries(jaxpr):
    """Of all native convolutions in a program."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "keras_ssc_convolution":
            yield equation.params["geometry"]
        for inner in jax.tree.leaves(list(equation.params.values())):
            if hasattr(inner := getattr(inner, "jaxpr", inner), "eqns"):
                yield from geometries(inner)


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
