"""A network for inference on JAX: one custom call where it can serve, its layers elsewhere."""

import gc
import threading

import keras
import pytest

if keras.backend.backend() != "jax":
    pytest.skip("about JAX", allow_module_level=True)

import jax
import jax.export
import jax.numpy as jnp
from jax_cases import assert_close, normal, run

import keras_ssc
from keras_ssc.native import build

pytestmark = [pytest.mark.jax, pytest.mark.usefixtures("compiler")]
layers = keras.layers


def network():
    """A model with two outputs: images, and one row for each."""
    inputs = keras.Input((7, 6, 8))
    x = layers.Conv2D(16, 3, strides=2, activation="relu", bias_initializer="normal")(inputs)
    y = keras_ssc.SSCConv2D(16, 3, padding="same", g=4, p=3, bias_initializer="normal")(x)
    y = layers.ReLU()(layers.Add()([x, y]))
    return keras.Model(inputs, [y, layers.Dense(5)(layers.GlobalAveragePooling2D()(y))])


@pytest.fixture(scope="module")
def model():
    """The model itself."""
    return network()


@pytest.fixture(scope="module")
def fast(model):
    """Its form for inference."""
    return keras_ssc.optimize_for_inference(model)


def stateless(model):
    """The model as a function of its weights and its input."""
    return lambda weights, x: model.stateless_call([], weights, x, training=False)[0]


def weights_of(model, factor=1):
    return [factor * variable.value for variable in model.non_trainable_variables]


def test_it_is_one_call_on_cpu_and_its_layers_elsewhere(fast):
    traced = jax.jit(fast).trace(jnp.ones((2, 7, 6, 8)))
    text = traced.lower().as_text()
    assert text.count("@KerasSsc") == text.count("@KerasSscNetwork") == 1
    assert "KerasSsc" not in traced.lower(lowering_platforms=("tpu",)).as_text()


@pytest.mark.parametrize("batch", [0, 1, 5])
def test_equal_to_the_model_for_every_batch(model, fast, batch):
    x = normal(batch, 7, 6, 8)
    expected = model(x, training=False)
    for found in (fast(x), jax.jit(fast)(x), fast.predict(x, batch_size=3) if batch else fast(x)):
        assert_close(found, expected)


def test_an_exported_program_needs_nothing_of_ours(fast):
    x = normal(3, 7, 6, 8)
    function = jax.jit(fast)
    expected = function(x)  # traced before: what was cached must not go out
    exported = jax.export.export(function)(x)
    assert "KerasSsc" not in exported.mlir_module()
    assert_close(jax.export.deserialize(exported.serialize()).call(x), expected)


def of_keras_layers():
    """A model for inference that any device and any batch may have."""
    steps = layers.Conv2D(8, 3, activation="relu"), layers.MaxPooling2D()
    return keras_ssc.optimize_for_inference(keras.Sequential([keras.Input((7, 6, 8)), *steps]))


def test_exports_any_batch_size():
    function = jax.jit(of_keras_layers())
    (batch,) = jax.export.symbolic_shape("batch")
    exported = jax.export.export(function)(jax.ShapeDtypeStruct((batch, 7, 6, 8), "float32"))
    for x in (normal(3, 7, 6, 8), normal(1, 7, 6, 8)):
        assert_close(exported.call(x), function(x))


def test_on_a_gpu_the_layers_compute(monkeypatch):
    fast, x = of_keras_layers(), normal(1, 7, 6, 8)
    assert "keras_ssc_network" in str(jax.make_jaxpr(lambda x: fast(x))(x))
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert "keras_ssc_network" not in str(jax.make_jaxpr(lambda x: fast(x))(x))


def test_mapped_images_are_one_batch(model, fast):
    x = normal(2, 3, 7, 6, 8)
    expected = [model(part) for part in x]
    for axis in (0, 1):
        mapped = jax.vmap(fast, in_axes=axis)
        moved = jnp.moveaxis(x, 0, axis)
        assert_close(mapped(moved), [jnp.stack(one) for one in zip(*expected, strict=True)])
        assert "while" not in jax.jit(mapped).lower(moved).as_text()


def test_mapped_weights_are_taken_in_turn(fast):
    both = [weights_of(fast), weights_of(fast, 0.5)]
    x, function = normal(3, 7, 6, 8), stateless(fast)
    expected = [function(weights, x) for weights in both]
    expected = [jnp.stack(one) for one in zip(*expected, strict=True)]
    stacked = [jnp.stack(one) for one in zip(*both, strict=True)]
    assert_close(jax.vmap(function, in_axes=(0, None))(stacked, x), expected)
    mapped = jax.vmap(function)(stacked, jnp.stack([x, x]))
    assert_close(mapped, expected)


def test_each_call_takes_its_own_weights(fast):
    """One program, more than one set of weights, and weights that are written over in place."""
    x, function = normal(3, 7, 6, 8), jax.jit(stateless(fast))
    fold = jax.jit(stateless(fast.layers[1].network))
    for factor in (1, 2, 1, 3):
        weights = weights_of(fast, factor)
        assert_close(function(weights, x), fold(weights, x))
    more = jax.jit(lambda weights: [1.5 * w for w in weights], donate_argnums=0)
    for _ in range(3):
        weights = more(weights)
        assert_close(function(weights, x), fold(weights, x))


def test_two_threads_with_weights_of_their_own(fast):
    x, function = normal(5, 7, 6, 8), jax.jit(stateless(fast))
    layers_alone = jax.jit(stateless(fast.layers[1].network))
    wrong = []

    def work(factor):
        weights = weights_of(fast, factor)
        expected = layers_alone(weights, x)
        for _ in range(100):
            try:
                assert_close(function(weights, x), expected)
            except AssertionError as error:
                wrong.append(error)

    threads = [threading.Thread(target=work, args=(factor,)) for factor in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_there_are_no_gradients(fast):
    x = normal(1, 7, 6, 8)

    def loss(x):
        return jnp.sum(fast(x)[1])

    for gradient in (jax.grad(loss), jax.jit(jax.grad(loss))):
        with pytest.raises(LookupError, match="no gradients: train the model that it was made of"):
            gradient(x)
    # By what comes behind it there are.
    assert jax.grad(lambda scale: scale * loss(x))(2.0) == pytest.approx(float(loss(x)), rel=1e-5)


def test_nothing_is_kept_of_a_network_that_is_gone():
    fast = keras_ssc.optimize_for_inference(network())
    x = normal(1, 7, 6, 8)
    fast(x)
    jax.jit(fast)(x)
    fast.predict(x, verbose=0)
    forget, number = build.operations().KerasSscForgetNetwork, _number(fast)
    assert forget(number)
    assert not forget(number)
    before = fast(x)  # it is packed again
    assert_close(before, fast(x))
    del fast
    gc.collect()
    assert not forget(number)


def _number(fast):
    program = jax.make_jaxpr(fast)(normal(1, 7, 6, 8))
    (inner,) = [one.params["jaxpr"] for one in program.eqns if "jaxpr" in one.params]
    return inner.eqns[-1].params["network"].number


DEVICES = """
import jax, keras, keras_ssc
import jax_cases as t
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
convolution = keras.layers.Conv2D(8, 3, activation="relu")
model = keras.Sequential([keras.Input((7, 6, 8)), convolution, keras.layers.MaxPooling2D()])
fast = keras_ssc.optimize_for_inference(model)
x = t.normal(4, 7, 6, 8)
expected = model(x)
for kind in (AxisType.Auto, AxisType.Explicit):
    mesh = jax.make_mesh((2,), ("b",), axis_types=(kind,))
    with jax.set_mesh(mesh):
        shared = jax.device_put(x, NamedSharding(mesh, P("b")))
        t.assert_close(jax.jit(fast)(shared), expected)
mesh = jax.make_mesh((2,), ("b",), axis_types=(AxisType.Auto,))
inside = jax.jit(jax.shard_map(fast, mesh=mesh, in_specs=P("b"), out_specs=P("b")))
assert "@KerasSscNetwork" in inside.lower(x).as_text()
t.assert_close(inside(x), expected)
"""


@pytest.mark.jax_long
def test_two_devices():
    run(DEVICES, XLA_FLAGS="--xla_force_host_platform_device_count=2")
