"""benchmarks/gpu_plans.py and gpu_networks.py without a GPU: what they plan, and what they time."""

import csv
import sys
from pathlib import Path

import keras
import pytest

if keras.backend.backend() != "jax":
    pytest.skip("about JAX", allow_module_level=True)

from keras_ssc import SSCConv2D
from keras_ssc.layers import FusedBatchNormalization
from keras_ssc.native.gpu import tuned

pytestmark = pytest.mark.jax
BENCHMARKS = Path(__file__).parents[3] / "benchmarks"
LAYER = (64, 64, 3, (8, 7), 8, 1)


@pytest.fixture(autouse=True)
def _programs(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))


@pytest.mark.parametrize("which", ["forward", "by_input", "by_weights"])
def test_plans_differ_in_their_numbers(which):
    import gpu_plans

    plans = gpu_plans.plans_of((LAYER, "bfloat16", which, 16, 232448, float("inf")))
    numbers = [tuple((n, about[n]) for n in tuned.NUMBERS if n in about) for about, _ in plans]
    assert len(set(numbers)) == len(numbers) > 20
    assert min(about["cost"] for about, _ in plans) == 1
    few = gpu_plans.plans_of((LAYER, "bfloat16", which, 16, 232448, 1.0))
    assert 1 <= len(few) < len(plans)


def test_the_table_has_the_fastest_and_gives_its_numbers(tmp_path, monkeypatch):
    import gpu_plans

    (about, _), *_ = gpu_plans.plans_of((LAYER, "bfloat16", "forward", 16, 232448, 1.0))
    row = {"card": "a card", "dtype": "bfloat16", "batch": 16, "pass": "forward"}
    row |= gpu_plans.described(LAYER) | about
    monkeypatch.setattr(tuned, "TABLE", tmp_path / "tuned.csv")
    tuned.write([gpu_plans.table_row(row)])
    own = (gpu_plans.pattern_of(LAYER), (1, 1), (8, 8), "bfloat16")
    found = tuned.numbers_of(*own, "forward", 16)
    assert found == {name: about[name] for name in tuned.NUMBERS if name in about}
    assert tuned.numbers_of(*own, "by_input", 16) is None
    assert tuned.numbers_of(*own, "forward", 17) is None
    monkeypatch.undo()
    tuned._numbers.cache_clear()


def tiny(sparsity=None, g=8, p=7, execution="auto", dtype=None):
    """A network of one convolution, as a builder gives it."""
    inputs = keras.Input((32, 32, 3))
    x = keras.layers.Conv2D(16, 3, strides=8, dtype=dtype)(inputs)
    conv = {"padding": "same", "use_bias": False, "dtype": dtype}
    if sparsity == 0:
        x = keras.layers.Conv2D(16, 3, **conv)(x)
    else:
        x = SSCConv2D(16, 3, g=g, p=p, execution=execution, **conv)(x)
    x = FusedBatchNormalization(activation="relu", dtype=dtype)(x)
    x = keras.layers.GlobalAveragePooling2D(dtype=dtype)(x)
    return keras.Model(inputs, keras.layers.Dense(10, "softmax", dtype="float32")(x))


def test_networks_are_timed_in_training_and_folded(tmp_path, monkeypatch, capsys):
    import gpu_networks

    path = tmp_path / "networks.csv"
    monkeypatch.setattr(gpu_networks, "NETWORKS", {"ResNet32": (tiny, {}, {"g": 8, "p": 7})})
    monkeypatch.setattr(sys, "argv", ["gpu_networks.py", "--dry-run", "--csv", str(path)])
    gpu_networks.main()
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["task"], row["form"]) for row in rows] == [
        (task, form) for task in ("training", "inference") for form in ("dense", "native")
    ]
    assert all(float(row["median_ms"]) > 0 for row in rows)
    assert "launches: 0" in capsys.readouterr().out


def test_kernels_have_a_kind():
    import gpu_networks

    names = {
        "convolve": "our kernels",
        "loop_convert_fusion": "XLA's own",
        "sm90_xmma_fprop_implicit_gemm": gpu_networks.LIBRARIES,
        "cudnn_generated_fort_native": gpu_networks.LIBRARIES,
        "Memset": "copies, clearing",
        "something": "the rest",
    }
    assert {name: gpu_networks.kind_of(name) for name in names} == names


PROGRAM = """
%fused (param_0: f32[8,4]) -> bf16[8,4] {
  %param_0 = f32[8,4]{1,0} parameter(0)
  ROOT %convert.1 = bf16[8,4]{1,0} convert(%param_0)
}

%body (state: (f32[8,4], s32[])) -> (f32[8,4], s32[]) {
  %state = (f32[8,4]{1,0}, s32[]) parameter(0)
  %x = f32[8,4]{1,0} get-tuple-element(%state), index=0
  %loop_convert_fusion = bf16[8,4]{1,0} fusion(%x, %x), kind=kLoop, calls=%fused
  %call = (bf16[8,2]{1,0}, u8[0]{0}) custom-call(%x, %x), custom_call_target="__cudnn$convForward"
  %y = bf16[8,2]{1,0} get-tuple-element(%call), index=0
  %ours = bf16[8,2]{1,0} custom-call(%y), custom_call_target="KerasSscLaunch", operand_layout={}
  %wrapped_slice = bf16[1,2]{1,0} fusion(%ours), kind=kLoop, calls=%fused
  ROOT %tuple = (f32[8,4]{1,0}, s32[]) tuple(%x, %x)
}

ENTRY %main (x: f32[8,4]) -> f32[8,4] {
  %x = f32[8,4]{1,0} parameter(0)
  ROOT %copy = f32[8,4]{1,0} copy(%x)
}
"""


def test_launches_and_bytes_of_a_program_are_counted():
    """Those of the loop: each array once for each launch that reads or writes it."""
    import gpu_networks
    import gpu_programs

    assert gpu_programs.launches(PROGRAM) == [
        ("XLA's own", 8 * 4 * 4 + 8 * 4 * 2),
        (gpu_networks.LIBRARIES, 8 * 4 * 4 + 8 * 2 * 2),
        ("our kernels", 2 * 8 * 2 * 2),
        ("XLA's own", 2 * 2 * 2),
    ]
