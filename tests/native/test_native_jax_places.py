"""Where the native kernels serve on JAX and where not: devices, exports, other processes."""

import os
import subprocess
import sys

import keras
import pytest

from keras_ssc import SSCConv2D
from keras_ssc.applications import ResNet20
from keras_ssc.execution import convolve

if keras.backend.backend() != "jax":
    pytest.skip("about JAX", allow_module_level=True)

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
from jax_cases import PATTERN, assert_close, convolution, native_model, run

pytestmark = [pytest.mark.jax, pytest.mark.usefixtures("compiler")]


def text_of(function, *arguments):
    return jax.jit(function).lower(*arguments).as_text()


def test_layers_are_custom_calls_on_cpu_and_portable_elsewhere():
    model = native_model()
    x = jnp.ones((2, 8, 8, 16))

    def training(x):
        return model.stateless_call(
            [v.value for v in model.trainable_variables],
            [v.value for v in model.non_trainable_variables],
            x,
            training=True,
        )[0]

    for name in ("KerasSscConv2D", "KerasSscBatchNorm"):
        assert f"@{name}" in text_of(training, x)
    for_others = jax.jit(training).trace(x).lower(lowering_platforms=("tpu",)).as_text()
    assert "KerasSsc" not in for_others


@pytest.mark.parametrize("platforms", [["cpu"], ["cpu", "tpu"]])
def test_an_exported_program_needs_nothing_of_ours(platforms):
    loss, arguments = convolution("native", relu=True)
    step = jax.jit(jax.value_and_grad(loss))
    expected = step(*arguments)  # traced before: what was cached must not go out
    exported = jax.export.export(step, platforms=platforms)(*arguments)
    assert "KerasSsc" not in exported.mlir_module()
    assert_close(jax.export.deserialize(exported.serialize()).call(*arguments), expected)


def test_exports_any_batch_size():
    _, (x, weights, *_) = convolution("native", relu=True)
    (batch,) = jax.export.symbolic_shape("batch")
    function = jax.jit(lambda x: convolve(x, weights, PATTERN, "native", padding="same"))
    exported = jax.export.export(function)(jax.ShapeDtypeStruct((batch, *x.shape[1:]), x.dtype))
    for images in (x, x[:1]):
        assert_close(exported.call(images), function(images))


def test_exports_a_network_for_any_batch_size():
    model = ResNet20(input_shape=(8, 8, 3), sparsity=0.9)
    (batch,) = jax.export.symbolic_shape("batch")
    function = jax.jit(lambda x: model(x, training=False))
    exported = jax.export.export(function)(jax.ShapeDtypeStruct((batch, 8, 8, 3), "float32"))
    x = np.random.default_rng(0).normal(size=(3, 8, 8, 3)).astype("float32")
    for images in (x, x[:1]):
        assert_close(exported.call(images), function(images))


def test_other_devices_and_dtypes_take_the_library_form(monkeypatch):
    for settings, words in (
        ({"dtype": "float64"}, "float32, not float64"),
        ({"dtype": "mixed_bfloat16"}, "float32, not bfloat16"),
    ):
        layer = SSCConv2D(16, 3, g=8, p=3, execution="native", **settings)
        layer.build((None, 8, 8, 16))
        assert layer.execution_report()["used"] == "dense"
        assert words in layer.execution_report()["why"]
    layer = SSCConv2D(16, 3, g=8, p=3)
    layer.build((None, 8, 8, 16))
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert layer.execution_report()["used"] == "dense"
    with jax.default_device(jax.devices("cpu")[0]):
        assert layer.execution_report()["used"] == "native"


# In processes of their own: two devices, other numbers of threads, nothing of TensorFlow.


DEVICES = """
import jax, keras, numpy as np
import jax_cases as t
import keras_ssc
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
from keras_ssc.layers.channel_wise import MaxPooling2D
assert len(jax.devices()) == 2

for case, images in ((t.convolution, 4), (t.normalization, 4)):
    loss, (x, *others) = case("native", relu=True)
    x, others[-1] = (np.concatenate([a, a[:1]]) for a in (x, others[-1]))
    step = jax.value_and_grad(loss, (0, 1, 2, 3))
    expected = step(x, *others)
    for kind in (AxisType.Auto, AxisType.Explicit):  # XLA shares the program out
        mesh = jax.make_mesh((2,), ("b",), axis_types=(kind,))
        with jax.set_mesh(mesh):
            put = lambda a, axes: jax.device_put(a, NamedSharding(mesh, axes))
            shared = [put(x, P("b")), *put(others[:-1], P()), put(others[-1], P("b"))]
            t.assert_close(jax.jit(step)(*shared), expected, 2e-5)
    # Each device runs for itself, on its half of the images.
    halves = [[x[i : i + 2], *others[:-1], others[-1][i : i + 2]] for i in (0, 2)]
    expected = sum(np.asarray(loss(*half)) for half in halves)
    mesh = jax.make_mesh((2,), ("b",), axis_types=(AxisType.Auto,))
    specs = (P("b"), P(), P(), P("b"))
    own = lambda *a: jax.lax.psum(loss(*a), "b")
    inside = jax.jit(jax.shard_map(own, mesh=mesh, in_specs=specs, out_specs=P()))
    assert "@KerasSsc" in inside.lower(x, *others).as_text()
    t.assert_close(inside(x, *others), expected, 2e-5)
    each = [t.gradient(loss)(*half) for half in halves]
    total = jax.tree.map(lambda a, b: a + b, *[(g[1], g[2]) for g in each])
    t.assert_close(jax.jit(t.gradient(inside))(x, *others)[1:3], total, 2e-5)
    several = jax.pmap(t.gradient(loss), in_axes=(0, None, None, 0))
    cut = [x.reshape(2, 2, *x.shape[1:]), *others[:-1]]
    cut.append(others[-1].reshape(2, 2, *others[-1].shape[1:]))
    t.assert_close(several(*cut), jax.tree.map(lambda *a: np.stack(a), *each), 2e-5)

# What XLA computes by our formulas: normalisation in bfloat16, pooling.
norm = keras_ssc.layers.FusedBatchNormalization(activation="relu", dtype="mixed_bfloat16")
pool = MaxPooling2D(3, 2, "same")
norm.build((None, 6, 6, 16))

def step(x):
    with keras.StatelessScope():
        loss = lambda x: (pool(norm(x, training=True)).astype("float32") ** 2).sum()
        return jax.grad(loss)(x).astype("float32")

x = jax.numpy.asarray(np.random.default_rng(0).normal(size=(8, 6, 6, 16)) * 3 + 2, "bfloat16")
expected = step(x)
for kind in (AxisType.Auto, AxisType.Explicit):
    mesh = jax.make_mesh((2,), ("b",), axis_types=(kind,))
    with jax.set_mesh(mesh):
        shared = jax.device_put(x, NamedSharding(mesh, P("b")))
        t.assert_close(jax.jit(step)(shared), expected, 2**-7)
mesh = jax.make_mesh((2,), ("b",), axis_types=(AxisType.Auto,))
inside = jax.jit(jax.shard_map(step, mesh=mesh, in_specs=P("b"), out_specs=P("b")))
t.assert_close(inside(x), np.concatenate([step(x[:4]), step(x[4:])]), 2**-7)

random = np.random.default_rng(0)
x, y = random.normal(size=(16, 8, 8, 16)), random.normal(size=(16, 3))
results = []
for distributed in (False, True):
    if distributed:
        keras.distribution.set_distribution(keras.distribution.DataParallel())
    model = t.native_model()
    model.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0)
    results.append([model.predict(x, verbose=0), *model.get_weights()])
t.assert_close(*results, 2e-5)
"""


@pytest.mark.jax_long
def test_two_devices():
    run(DEVICES, XLA_FLAGS="--xla_force_host_platform_device_count=2")


THREADS = """
import sys
import jax, numpy as np
import jax_cases as t
from keras_ssc.execution import convolve
_, (_, weights, *_) = t.convolution("native", relu=True)
x = t.normal(16, 24, 24, 16)
f = lambda x, weights: convolve(x, weights, t.PATTERN, "native", padding="same")
@jax.jit
def passes(x, weights):
    y, backward = jax.vjp(f, x, weights)
    return y, *backward(y)
first = passes(x, weights)
for _ in range(20):
    for a, b in zip(jax.tree.leaves(passes(x, weights)), jax.tree.leaves(first)):
        np.testing.assert_array_equal(a, b)
np.savez(sys.argv[1], *jax.tree.leaves(first))
"""


@pytest.mark.jax_long
def test_one_two_and_four_threads_agree(tmp_path):
    results = []
    for threads in ("1", "2", "4"):
        run(THREADS, str(tmp_path / f"{threads}.npz"), PJRT_NPROC=threads)
        with np.load(tmp_path / f"{threads}.npz") as file:
            results.append([file[name] for name in file.files])
    for other in results[1:]:
        for i in (0, 1):  # sums over the images depend on how they are cut, these don't
            np.testing.assert_array_equal(other[i], results[0][i])
        assert_close(other, results[0])


WITHOUT_TENSORFLOW = """
import sys
sys.modules["tensorflow"] = None  # its import fails
import numpy as np, keras_ssc
layer = keras_ssc.SSCConv2D(16, 3, g=8, p=3)
layer(np.ones((2, 8, 8, 16), "float32"))
keras_ssc.layers.FusedBatchNormalization()(np.ones((2, 8, 8, 16), "float32"), training=True)
assert not [name for name in sys.modules if name.startswith("tensorflow.")]
print(layer.execution_report()["used"])
"""


def test_runs_without_tensorflow():
    assert run(WITHOUT_TENSORFLOW).strip() == "native"


@pytest.mark.campaign
def test_two_processes_that_compile_at_once(tmp_path):
    command = [sys.executable, "-c", WITHOUT_TENSORFLOW]
    environment = os.environ | {"KERAS_BACKEND": "jax", "KERAS_SSC_CACHE": str(tmp_path)}
    both = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert [process.communicate()[0].strip() for process in both] == ["native"] * 2
    (library,) = tmp_path.iterdir()
    assert library.name.startswith("jax-")
