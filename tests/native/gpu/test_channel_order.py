"""Networks that keep the order in which the GPU's kernels make channels: traced for a GPU, and
computed by the CPU in JAX's operations."""

import keras
import numpy as np
import pytest

if keras.backend.backend() != "jax":
    pytest.skip("about JAX", allow_module_level=True)

import jax
import jax.numpy as jnp
from jax.extend.core import Literal

import keras_ssc
from keras_ssc import SSCConv2D
from keras_ssc.layers import FusedBatchNormalization
from keras_ssc.native import channel_order
from keras_ssc.native.channel_order import Order
from keras_ssc.native.gpu import build, lowering, order, passes

pytestmark = pytest.mark.jax
SHAPE = (2, 6, 5, 32)


@pytest.fixture(autouse=True)
def gpu(monkeypatch):
    """Layers are traced for a GPU that is not there."""
    monkeypatch.setattr(build, "cubin", lambda *_: "a.cubin")
    device = passes.Device(232448, lambda *a, **k: lowering.call("sm_90", *a, **k))
    monkeypatch.setattr(lowering, "find", lambda: (device, None))
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")


def conv(filters=32, **more):
    settings = {"g": 8, "p": 7, "padding": "same", "use_bias": False, "execution": "native"}
    return SSCConv2D(filters, more.pop("kernel_size", 3), **(settings | more))


def bn(**more):
    return FusedBatchNormalization(activation="relu", **more)


def network():
    """Convolutions, point-wise ones too, with normalisation, a residual sum and a stride."""
    inputs = keras.Input(SHAPE[1:])
    x = bn()(conv()(inputs))
    y = bn()(conv(kernel_size=1, g=0, p=4)(x))
    y = conv(64, p=3)(y)
    shortcut = FusedBatchNormalization()(conv(64, kernel_size=1, g=0, p=2)(x))
    x = bn(name="block")(y, residual=shortcut)
    x = bn(scale=False)(conv(64, strides=2, use_bias=True)(x))
    return keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(x))


def integers(shape, seed=0):
    return np.random.default_rng(seed).integers(-2, 3, shape).astype("float32")


def filled(model):
    """A model whose variables are small and all different."""
    random = np.random.default_rng(1)
    for variable in model.variables:
        if "seed" not in variable.path:
            variable.assign(random.uniform(0.1, 1, variable.shape) * random.choice([-1, 1]))
    for variable in model.non_trainable_variables:
        variable.assign(np.abs(variable.numpy()))
    return model


def step(model, training=True, wrap=lambda f: f):
    """A function of (trainable, other variables, x) -> loss, other variables and gradients."""

    def loss(trainable, other, x):
        y, other = wrap(model.stateless_call)(trainable, other, x, training=training)
        return jnp.mean(y**2), other

    return jax.value_and_grad(loss, has_aux=True)


def both(function, *arguments):
    """The results of a function in a program that keeps orders, and in one that does not."""
    kept = jax.jit(lambda *a: function(*a)).lower(*arguments).compile()(*arguments)
    with channel_order.each_layer_alone():
        alone = jax.jit(lambda *a: function(*a)).lower(*arguments).compile()(*arguments)
    return jax.tree.leaves(kept), jax.tree.leaves(alone)


def check(function, *arguments, tolerance=1e-5):
    kept, alone = both(function, *arguments)
    assert len(kept) == len(alone) > 0
    for one, other in zip(kept, alone, strict=True):
        assert one.dtype == other.dtype
        scale = np.max(np.abs(other.astype("float32"))) + 1e-6
        np.testing.assert_allclose(
            one.astype("float32") / scale, other.astype("float32") / scale, atol=tolerance
        )


def values(model):
    return [
        [variable.value for variable in variables]
        for variables in (model.trainable_variables, model.non_trainable_variables)
    ]


def count(function, *arguments):
    """The permutations of channels in the program of a function, after what nobody reads is gone."""
    closed = jax.make_jaxpr(lambda *a: function(*a))(*arguments)
    found = []

    def walk(jaxpr, used):
        used = {one for one in used if not isinstance(one, Literal)}
        for equation in reversed(jaxpr.eqns):
            if not any(one in used for one in equation.outvars):
                continue
            if equation.primitive.name == "keras_ssc_permute" and equation.outvars[0].aval.ndim == 4:
                found.append(equation)
            for inner in jax.tree.leaves(
                list(equation.params.values()), is_leaf=lambda one: hasattr(one, "jaxpr")
            ):
                if hasattr(inner, "jaxpr"):
                    inside = inner.jaxpr
                    walk(inside, [o for o, own in zip(inside.outvars, equation.outvars) if own in used])
            used |= {one for one in equation.invars if not isinstance(one, Literal)}

    walk(closed.jaxpr, closed.jaxpr.outvars)
    return len(found)


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_network_trains_as_without_orders(dtype):
    keras.config.set_dtype_policy(dtype)
    try:
        model = filled(network())
    finally:
        keras.config.set_dtype_policy("float32")
    x = integers(SHAPE)
    check(step(model), *values(model), x, tolerance=1e-5 if dtype == "float32" else 2e-2)
