"""benchmarks/gpu_check.py without a GPU: its dry run, and the table that it writes for `auto`."""

import sys
from pathlib import Path

import keras
import pytest

if keras.backend.backend() != "jax":
    pytest.skip("about JAX", allow_module_level=True)

import jax

from keras_ssc.native.gpu import availability

pytestmark = pytest.mark.jax
BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import gpu_check

    return gpu_check


def test_dry_run_checks_and_writes(script, tmp_path, monkeypatch, capsys):
    path = tmp_path / "gpu.csv"
    monkeypatch.setattr(sys, "argv", ["gpu_check.py", "--dry-run", "--csv", str(path)])
    monkeypatch.setattr(script, "EXACT", [(16, 16, 3, (8, 7), 4, 1)])
    monkeypatch.setattr(script, "check_training", lambda form, steps: [])
    script.main()
    assert "wrong numbers: 0" in capsys.readouterr().out
    assert path.read_text().count("exactness") == 2


def test_a_wrong_number_ends_the_check(script, monkeypatch):
    monkeypatch.setattr(script, "functions", _wrong(script.functions))
    with pytest.raises(SystemExit, match="the kernels are wrong"):
        script.check_exactness("grouped", float("inf"), [(16, 16, 3, (8, 7), 4, 1)], 2)


def _wrong(functions):
    def changed(layer, form):
        found = functions(layer, "dense")
        both = found["forward and gradients"]
        if form == "grouped":
            found["forward and gradients"] = lambda x, w, dy: both(x + 1, w, dy)
        return found

    return changed


def test_the_table_is_what_auto_reads(script, tmp_path, monkeypatch):
    path = tmp_path / "measured.csv"
    path.write_text(availability.MEASURED.read_text(encoding="utf-8"))
    layer = (64, 64, 3, (8, 7), 14, 1)
    rows = [
        {"kind": "layer", "form": form, **script.described(layer), "dtype": "bfloat16",
         "batch": 256, "task": task, "times_as_fast_as_dense": ratio}
        for form in ("layer", "class-major")
        for task, ratio in (("forward", 1.2), ("forward and gradients", 1.4))
    ]  # fmt: skip
    script.write_table(rows, path)
    monkeypatch.setattr(availability, "MEASURED", path)
    availability._measured.cache_clear()
    pattern = script.pattern_of(layer)
    assert availability.why_not_by_itself(pattern, "bfloat16", (1, 1), (14, 14)) is None
    assert "not measured" in availability.why_not_by_itself(pattern, "float32", (1, 1), (14, 14))
    availability._measured.cache_clear()
    assert jax.devices()[0].device_kind in path.read_text(encoding="utf-8")
