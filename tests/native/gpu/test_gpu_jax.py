"""The GPU's kernels inside JAX: run by the emulation, lowered for a GPU that is not there."""

import dataclasses

import keras
import numpy as np
import pytest

if keras.backend.backend() != "jax":
    pytest.skip("about JAX", allow_module_level=True)

import gpu_emulation
import jax
import jax.numpy as jnp
from gpu_cases import pattern

from keras_ssc import SSCConv2D, SSCPattern
from keras_ssc.execution import convolve
from keras_ssc.native.gpu import availability, build, lowering, order, passes
from keras_ssc.native.gpu.availability import why_not, why_not_by_itself
from keras_ssc.native.jax_convolution import Geometry

pytestmark = pytest.mark.jax
PATTERN = SSCPattern(**pattern())


def call(own, problem, before, behind, result, clear):
    """As `lowering.call`, by the emulation, on arrays that are known."""
    before, behind = (
        [a.view(np.uint16) if a.dtype.itemsize == 2 else a for a in map(np.asarray, part)]
        for part in (before, behind)
    )
    y = np.full(result.shape, 0 if clear else np.nan, result.dtype)
    y = gpu_emulation.aligned(y.view(np.uint16) if y.dtype.itemsize == 2 else y)
    y = gpu_emulation.run(own, (before, behind), y, problem=problem)
    return jnp.asarray(y.view(result.dtype))


EMULATED = passes.Device(232448, call)


def arrays(own, dtype, size=(6, 5), strides=(1, 1), batch=2):
    """Small integers: (x, weights, bias, residual, dy)."""
    random = np.random.default_rng(0)
    geometry = Geometry(own, strides, "same", (1, 1), 0, 0)
    shape = (batch, *size, own.in_channels)
    result = geometry.output_shape(shape)

    def integers(shape):
        return jnp.asarray(random.integers(-2, 3, shape), dtype)

    weights = [integers(shape) for shape in geometry.matrix_shapes()]
    return geometry, integers(shape), weights, integers(own.filters), *map(integers, [result] * 2)


OTHER = SSCPattern(**pattern(g=4, p=3))  # other channels are neighbours in its order


@pytest.mark.parametrize(
    ("dtype", "strides", "before"),
    [
        ("bfloat16", (1, 1), None),
        ("float32", (2, 2), None),
        ("bfloat16", (1, 1), PATTERN),
        ("float32", (2, 2), OTHER),
    ],
)
def test_passes_equal_the_dense_ones(dtype, strides, before):
    """With both gradients: the kernels' own source against JAX's convolution."""
    geometry, x, weights, bias, residual, dy = arrays(PATTERN, dtype, strides=strides)
    if before:  # channels are given in the order that a layer before left, and left in order
        (inputs, _), (_, outputs) = order.orders(before), order.orders(PATTERN)
        geometry = dataclasses.replace(geometry, inputs=inputs, outputs=outputs)
    found = (
        passes.convolution(EMULATED, x, weights, geometry, bias, residual, relu=True),
        passes.input_gradient(EMULATED, dy, weights, geometry, x.shape[1:3]),
        passes.weight_gradient(EMULATED, x, dy, geometry),
    )
    y, back = jax.vjp(lambda x, weights: geometry.dense(x, *weights), x, weights)
    expected = (jax.nn.relu(y + bias + residual), *back(dy))
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(np.asarray(a, "float32"), np.asarray(b, "float32"))


@pytest.fixture
def gpu(monkeypatch):
    """A GPU for which programs are lowered; nothing can run on it."""
    monkeypatch.setattr(build, "cubin", lambda *_: "a.cubin")
    device = passes.Device(232448, lambda *a, **k: lowering.call("sm_90", *a, **k))
    monkeypatch.setattr(lowering, "find", lambda: (device, None))
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")


def lowered(function, *arguments, platform="cuda"):
    traced = jax.jit(function).trace(*arguments)
    return traced.lower(lowering_platforms=(platform,)).as_text()


def test_a_training_step_calls_the_kernels_three_times(gpu):
    _, x, weights, *_ = arrays(PATTERN, "bfloat16")

    def loss(x, weights):
        y = convolve(x, weights, PATTERN, "native", padding="same", relu=True)
        return jnp.sum(y.astype("float32") ** 2)

    text = lowered(jax.grad(loss, (0, 1)), x, weights)
    assert text.count("@KerasSscLaunch") == 3
    assert "stablehlo.convolution" not in text
    assert lowered(loss, x, weights).count("@KerasSscLaunch") == 1


def test_what_the_kernels_can_not_take_is_computed_by_jax(gpu, caplog, monkeypatch):
    monkeypatch.setattr(lowering, "find", lambda: (passes.Device(4096, call), None))
    _, x, weights, *_ = arrays(PATTERN, "float32")
    text = lowered(lambda x, w: convolve(x, w, PATTERN, "native", padding="same"), x, weights)
    assert "@KerasSscLaunch" not in text
    assert "does not fit in the GPU's shared memory" in caplog.text


def test_tensors_that_are_too_large_are_computed_by_jax(gpu, caplog):
    shapes = [jax.ShapeDtypeStruct(shape, "bfloat16") for shape in ((2**20, 64, 64, 64),)]
    weights = [jax.ShapeDtypeStruct((len(i), len(n)), "bfloat16") for _, i, n in PATTERN.matrices]
    text = lowered(lambda x, w: convolve(x, w, PATTERN, "native", padding="same"), *shapes, weights)
    assert "@KerasSscLaunch" not in text
    assert "values of a tensor" in caplog.text


def layer(**settings):
    made = SSCConv2D(64, 3, padding="same", g=8, p=7, **settings)
    made.build((None, 8, 8, 64))
    return made


def test_native_is_taken_by_name_and_auto_waits_for_a_measurement(gpu, monkeypatch):
    for dtype in ("float32", "mixed_bfloat16"):
        report = layer(execution="native", dtype=dtype).execution_report((8, 8))
        assert (report["used"], report["why"]) == ("native", "asked for")
        report = layer(dtype=dtype).execution_report((8, 8))
        assert report["used"] == "dense"
        assert "were not measured for this layer" in report["why"]
    card = jax.devices()[0].device_kind
    row = availability.layer_key(PATTERN, (1, 1), (8, 8)) | {"card": card, "dtype": "bfloat16"}
    for training, in_order, used in (
        ("1.5", "1.9", "native"),
        ("0.9", "1.8", "native"),  # alone and in order: 1.2 times as fast
        ("0.9", "1.3", "dense"),  # 1.06 times, less than a tenth
    ):
        rows = row | {"inference": "1.2", "inference_in_order": "1.3"}
        rows = (rows | {"training": training, "training_in_order": in_order},)
        monkeypatch.setattr(availability, "_measured", lambda rows=rows: rows)
        assert layer(dtype="mixed_bfloat16").execution_report((8, 8))["used"] == used
        assert why_not_by_itself(PATTERN, "bfloat16", (1, 1), (8, 8), in_order=True) is None
    assert "as slower" in why_not_by_itself(PATTERN, "bfloat16", (1, 1), (8, 8))
    assert "not measured" in why_not_by_itself(PATTERN, "bfloat16", (1, 1), (9, 9))


def test_reasons_are_given(gpu, monkeypatch):
    assert why_not(PATTERN, "float16") == (
        "the GPU's kernels compute in bfloat16 and float32, not float16"
    )
    with jax.default_matmul_precision("highest"):
        assert "full precision is asked for" in why_not(PATTERN, "float32")
        assert why_not(PATTERN, "bfloat16") is None
    assert "in eights (here 64, 60)" in why_not(SSCPattern(64, 60, 3, 8, 7), "float32")
    monkeypatch.setattr(lowering, "find", lambda: (None, "no C++ compiler (g++) was found"))
    report = layer(execution="native").execution_report((8, 8))
    assert (report["used"], report["why"]) == ("dense", "no C++ compiler (g++) was found")


def test_no_gpu_is_a_reason():
    if jax.default_backend() == "gpu":
        pytest.skip("there is a GPU")
    assert lowering.find() == (None, "JAX sees no NVIDIA GPU")


@pytest.mark.parametrize(
    ("capability", "words"), [("gfx90a", "not one of NVIDIA"), (None, "not one"), ("7.5", "7.5")]
)
def test_other_gpus_are_refused(capability, words):
    with pytest.raises(build.CannotBuild, match=words):
        build.architecture_of(capability)
    assert build.architecture_of("9.0") == ("sm_90", 232448)
    assert build.architecture_of("12.0") == ("sm_120", 101376)
