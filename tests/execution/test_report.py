"""The rule for `execution="auto"` without native kernels, and what a report says."""

import csv
import sys

import keras
import pytest
from conftest import ROOT

import keras_ssc
from keras_ssc import SSCConv2D, SSCPattern
from keras_ssc.execution import choose, execution_report, report
from keras_ssc.native import accelerator

pytestmark = [
    pytest.mark.backends,
    pytest.mark.skipif(accelerator() is not None, reason="the table is of CPUs"),
]
SETTINGS = {"strides": (1, 1), "padding": "same", "sizes": (8, 8)}
ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
RESULTS = ROOT / "benchmarks/results/forms-amd-epyc-2cores-avx512-half.csv"


@pytest.mark.parametrize(
    ("pattern", "form"),
    [
        (SSCPattern(64, 64, 3, 8, 3), "grouped"),
        (SSCPattern(128, 128, 3, 4, 1), "grouped"),
        (SSCPattern(256, 256, 3, 64, 21), "grouped"),
        (SSCPattern(32, 32, 3, 4, 3), "dense"),
        (SSCPattern(64, 64, 3, 32, 3), "dense"),
        (SSCPattern(128, 32, 3, 8, 3), "dense"),
        (SSCPattern(128, 128, 3, 0, 4), "dense"),
        (SSCPattern(100, 100, 3, 8, 3), "dense"),
    ],
)
def test_auto_without_native_takes_the_form_that_was_measured_faster(pattern, form):
    used, why = choose("auto", pattern, **SETTINGS, dtype="bfloat16")
    assert used == form
    assert "float32, not bfloat16" in why


def measured(how, dtype, form):
    return {
        row["pattern"]: row
        for row in report.measured_layers()
        if (row["how"], row["dtype"], row["form"]) == (how, dtype, form)
    }


@pytest.mark.parametrize("how", ["tensorflow", "tensorflow, XLA", "jax"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_rule_agrees_with_what_was_measured(how, dtype):
    """Where it says grouped, grouped was faster in training, and in inference but for noise."""
    dense = measured(how, dtype, "dense")
    compared = 0
    for pattern, row in measured(how, dtype, "grouped").items():
        width, group = pattern.in_channels, pattern.in_channels // pattern.g
        one_operation = how == "tensorflow" and dtype == "float32"
        small = 4 if one_operation or width >= 256 else 8
        if width >= 64 and group >= small:
            assert row["training"] > dense[pattern]["training"]
            assert row["inference"] > 0.9 * dense[pattern]["inference"]
            compared += 1
    assert compared >= 5 or (how, dtype) in {("jax", "bfloat16"), ("tensorflow, XLA", "bfloat16")}


def test_the_package_s_table_is_that_of_the_committed_results(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import forms

    own = {"common", *(path.stem for path in (ROOT / "benchmarks").glob("*.py"))}
    for name in list(sys.modules):
        if name.split(".")[0] in own:
            monkeypatch.delitem(sys.modules, name)
    with RESULTS.open(newline="", encoding="utf-8") as file:
        expected = forms.table(list(csv.DictReader(file)))
    with report.MEASURED.open(newline="", encoding="utf-8") as file:
        assert list(csv.DictReader(file)) == expected


def test_estimates_of_measured_layers_are_near_what_was_measured():
    """Each layer from the others: native and dense ones within a factor of two in training."""
    estimated = 0
    for row in report.measured_layers():
        others = measured(row["how"], row["dtype"], row["form"])
        del others[row["pattern"]]
        near = {p: report._difference(row["pattern"], p) for p in others}
        if row["form"] == "grouped" or min(near.values(), default=9) > report.FACTOR:
            continue
        best = others[min(near, key=near.get)]
        scale = best["pattern"].density / row["pattern"].density if row["form"] == "native" else 1
        assert 0.5 < best["training"] * scale / row["training"] < 2
        estimated += 1
    assert estimated > 30


@pytest.mark.skipif(not ON_TENSORFLOW, reason="the numbers are TensorFlow's")
def test_a_report_tells_measured_from_estimated_from_unknown():
    def against(*pattern, form="native", sizes=(16, 16), **others):
        return report.against_dense(SSCPattern(*pattern), form, "float32", sizes=sizes, **others)

    exact = against(64, 64, 3, 8, 3)
    assert exact["speed_source"] == "measured"
    assert (exact["inference_speed"], exact["training_speed"]) == (6.8, 6.3)
    assert "64->64 (8, 3) on maps of 16x16, batch 32; 1 core of AMD EPYC" in exact["speed_basis"]
    for other in ({"sizes": (None, None)}, {"sizes": (16, 8)}, {"strides": (2, 2)}):
        near = against(64, 64, 3, 8, 3, **other)
        assert near["speed_source"] == "estimate"
        assert near["training_speed"] == 6.3
    thinner = against(64, 64, 3, 16, 7)
    density = [SSCPattern(64, 64, 3, *choice).density for choice in ((16, 5), (16, 7))]
    assert thinner["training_speed"] == round(9.94 * density[0] / density[1], 1)
    assert "by the multiply-adds" in thinner["speed_basis"]
    same = against(96, 64, 3, 8, 3, form="dense")
    assert (same["speed_source"], same["training_speed"]) == ("estimate", 0.9)
    unknown = [
        against(64, 64, 5, 8, 3),
        against(64, 64, 3, 6, 3),
        against(64, 64, 3, 8, 3, "block"),
        against(8, 8, 3, 8, 0),
        against(96, 64, 3, 8, 3, form="grouped"),
        against(64, 64, 3, 8, 3, form="gather"),
    ]
    for one in unknown:
        assert one["speed_source"] == "unknown"
        assert one["inference_speed"] is one["training_speed"] is None


def test_a_report_says_why_not_native_whatever_was_asked():
    for asked in ("auto", "dense", "grouped", "gather", "native"):
        found = execution_report(asked, SSCPattern(64, 64, 3, 8, 3), **SETTINGS, dtype="float16")
        assert found["asked"] == asked
        assert found["why_not_native"] == "the native operations compute in float32, not float16"


def model_of_two_dtypes():
    return keras.Sequential(
        [
            keras.Input((16, 16, 64)),
            SSCConv2D(64, 3, padding="same", g=8, p=3, dtype="bfloat16"),
            SSCConv2D(64, 3, g=8, p=3, dtype="bfloat16"),
            keras.layers.Conv2D(4, 3),
        ]
    )


def test_a_summary_says_it_for_every_layer():
    result = keras_ssc.summary(model_of_two_dtypes())
    sparse, _, dense = result.rows
    assert "bfloat16" in sparse["why_not_native"]
    assert dense["why_not_native"] is dense["speed_source"] is None
    lines = str(result).splitlines()
    assert lines[0].endswith("beside Conv2D")
    assert any("2 layers: the native operations compute in float32" in line for line in lines)
    if ON_TENSORFLOW:
        assert sparse["speed_source"] == "measured"
        assert lines[2].endswith("0.9x, 1.7x")
        assert lines[3].endswith("?")
        assert lines[-1].endswith("AVX-512 half width, tensorflow 2.21.0")


@pytest.mark.skipif(not ON_TENSORFLOW, reason="on JAX the kernels are called by XLA")
def test_a_model_compiled_with_xla_is_reported_as_it_computes():
    model = keras.Sequential([keras.Input((8, 8, 64)), SSCConv2D(64, 3, g=8, p=3)])
    model.compile(jit_compile=True)
    (row,) = keras_ssc.summary(model).rows
    assert row["execution"] != "native"
    assert row["why_not_native"] == "XLA can't compile the native operations"
