"""The programs that time: complete rows, ratios against the fastest dense, an honest page."""

import csv
import re
import sys

import keras
import numpy as np
import pytest
from benchmark_programs import programs_found, tiny  # noqa: F401
from clock import Clock
from conftest import ROOT


def row(competitor, kind, median_ms, **others):
    facts = {"network": "ResNet32", "pass": "infer", "batch": "128", "note": ""}
    facts["parameters"] = "100" if kind == "dense" else "10"
    quartiles = {"quartile_1_ms": median_ms, "quartile_3_ms": median_ms}
    return (
        facts
        | {"competitor": competitor, "kind": kind, "median_ms": median_ms}
        | (quartiles | others)
    )


LOSING = [
    row("dense, Keras's layers", "dense", "20.0"),
    row("dense, folded", "dense", "10.0"),
    row("ONNX Runtime, dense", "dense", "8.0"),
    row("PyTorch dense, folded, channels_last", "dense", "", note="not installed"),
    row("SSC 0.9", "ssc", "18.0"),
    row("SSC 0.9, optimized", "ssc", "16.0"),
    row("thinner dense, optimized", "smaller", "4.0"),
]


def write(path, rows):
    about = dict.fromkeys(("cpu", "cores", "threads", "avx512", "backend", "onednn"), "1")
    about |= dict.fromkeys(("widest", "tensorflow", "keras", "jax", "onnxruntime"), "1")
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(about | rows[0]))
        writer.writeheader()
        writer.writerows(about | one for one in rows)
    return path


def test_ratio_is_against_the_fastest_dense_of_all_makers():
    from common import results

    found = {one["competitor"]: one for one in results.against_fastest_dense(LOSING)}
    assert {one["fastest_dense"] for one in found.values()} == {"ONNX Runtime, dense"}
    assert found["SSC 0.9, optimized"]["times_as_fast"] == 0.5
    assert found["dense, folded"]["times_as_fast"] == 0.8
    # A thinner network is faster than all, and no measure of the dense one.
    assert found["thinner dense, optimized"]["times_as_fast"] == 2
    assert found["PyTorch dense, folded, channels_last"]["times_as_fast"] == ""


def test_without_a_dense_row_there_is_no_ratio():
    from common import results

    (found,) = results.against_fastest_dense([row("SSC 0.9", "ssc", "18.0")])
    assert found["times_as_fast"] == found["fastest_dense"] == ""


def test_page_table_and_picture_show_a_loss(tmp_path):
    pytest.importorskip("matplotlib")
    import page

    from common import picture
    from common.cells import Cells

    path = write(tmp_path / "networks-made-up.csv", LOSING)
    text = page.page(tmp_path)
    assert "- ResNet32 0.9, inference, batch 128: 0.50x of ONNX Runtime, dense" in text
    assert "faster than SSC in 1 of 1 comparisons" in text
    assert "**1.00x**, 8 ms" in text
    assert "not run: not installed" in text
    assert (
        "| ResNet32 | 0.9 | 0.00 M, 10% | 128 | 0.44x | 0.50x | not run | not run | not run |"
        in page.readme_table(path)
    )
    label, inference, training = picture.values(Cells.of(path))[0]
    assert (label, inference, training) == ("ResNet32 0.9\nbatch 128", 0.5, None)
    picture.draw(Cells.of(path), tmp_path / "speed.png")
    assert (tmp_path / "speed.png").stat().st_size > 5000


def test_ratios_of_the_page_come_from_medians_not_from_the_file(tmp_path):
    from common.cells import Cells

    flattering = [one | {"times_as_fast": "9", "fastest_dense": "none"} for one in LOSING]
    cells = Cells.of(write(tmp_path / "networks-made-up.csv", flattering))
    assert cells.ssc("ResNet32", "infer", 128, "0.9")["times_as_fast"] == 0.5


def test_readme_and_page_are_what_the_programs_make():
    pytest.importorskip("matplotlib")
    import page

    from common import results

    text = page.README.read_text(encoding="utf-8")
    (name,) = re.findall(f"made by {page.MAKER} from (.*?) -->", text)
    table = page.readme_table(ROOT / name)
    assert page.with_section(text, page.MAKER, table, f" from {name}") == text
    with pytest.raises(ValueError, match=r"one section of another\.py"):
        page.with_section(text, "another.py", table)
    assert page.page(results.FOLDER) == page.PAGE.read_text(encoding="utf-8")


def test_table_of_sizes_is_what_the_program_makes():
    import phone_page

    from common import results

    text = phone_page.PAGE.read_text(encoding="utf-8")
    rows = results.read(phone_page.RESULTS)
    assert phone_page.with_section(text, phone_page.MAKER, phone_page.section(rows)) == text
    row = {"network": "ResNet32:0.98", "format": "litert", "quantize": "int8", "sparsity": "0.98"}
    row |= {"bytes": "1234567", "accuracy": "0.8123", "ms": "1.23", "test_images": "2000"}
    others = [one for one in rows if one["network"] != "ResNet32:0.98"]
    assert "1,234,567 (" in phone_page.section([*others, row])
    assert "| 81.23% |" in phone_page.section([*others, row])
    assert "| not run |  |" in phone_page.section(others)


def test_picture_has_at_most_eight_bars():
    pytest.importorskip("matplotlib")
    from common import picture

    assert len(picture.SIX) <= 8


def test_everyone_has_a_turn_in_every_round(monkeypatch):
    from common import timing

    clock = Clock()
    monkeypatch.setattr(timing, "time", clock)
    turns, waits = [], {"short": 0.001, "long": 0.004}
    steps = {
        name: lambda name=name, wait=wait: (turns.append(name), clock.sleep(wait))
        for name, wait in waits.items()
    }
    taken = timing.interleaved(steps, 4, burst=0.005, pause=1)
    assert {name: len(seconds) for name, seconds in taken.items()} == {"short": 4, "long": 4}
    for name, wait in waits.items():
        np.testing.assert_allclose(taken[name], wait, rtol=1e-6)
    assert turns.count("short") > turns.count("long")


def test_rounds_end_with_the_time_but_not_before_three():
    from common import timing

    taken = timing.interleaved({"step": lambda: None}, 50, seconds=0, burst=0, pause=0)
    assert len(taken["step"]) == timing.FEWEST_ROUNDS


@pytest.mark.parametrize(("rates", "width"), [((135.6, 269), "full"), ((115, 116), "half")])
def test_width_of_avx512(rates, width):
    from common import vectors

    assert vectors.width(rates) == width
    assert vectors.avx512("avx avx2 fma") == "none"


def run(program, monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", [program.__name__, *map(str, arguments)])
    program.main()
    return capsys.readouterr().out


@pytest.mark.campaign
def test_networks_end_to_end(tiny, tmp_path, monkeypatch, capsys):
    import networks

    from common import results

    path = tmp_path / "tiny.csv"
    missing = ["--torch-python", sys.executable, "--output", path]
    printed = run(networks, monkeypatch, capsys, "--networks", "Tiny", "--quick", *missing)
    rows = results.read(path)
    assert {row["pass"] for row in rows} == {"infer", "train"}
    dense_medians = {}
    for one in rows:
        assert one["cpu"]
        assert one["backend"] == keras.backend.backend()
        assert one["code"]
        if one["note"]:
            assert one["median_ms"] == one["times_as_fast"] == ""
            assert re.search(rf"{re.escape(one['competitor'])} +not run: ", printed)
            continue
        assert float(one["quartile_1_ms"]) <= float(one["median_ms"]) <= float(one["quartile_3_ms"])
        assert int(one["rounds"]) >= 3
        if one["kind"] == "dense":
            dense_medians.setdefault(one["pass"], []).append(float(one["median_ms"]))
    for one in rows:
        if one["median_ms"]:
            expected = min(dense_medians[one["pass"]]) / float(one["median_ms"])
            assert float(one["times_as_fast"]) == pytest.approx(expected, abs=1e-3)
    names = {one["competitor"] for one in rows if one["pass"] == "infer"}
    assert {
        "dense, folded",
        "SSC (8, 4)",
        "SSC (8, 4), folded",
        "DeepSparse, masked (8, 4)",
    } <= names
    (deepsparse,) = {one["note"] for one in rows if one["competitor"] == "DeepSparse, dense"}
    assert deepsparse == "no --deepsparse-python"
    # A second call finds all that it would do, and leaves the file as it is.
    before = path.read_bytes()
    printed = run(networks, monkeypatch, capsys, "--networks", "Tiny", "--quick", *missing)
    assert printed.count("in the file already") == 2
    assert path.read_bytes() == before
    # Rows of other code are run anew, not kept.
    path.write_bytes(before.replace(rows[0]["code"].encode(), b"othercod"))
    again = ["--networks", "Tiny", "--quick", "--passes", "train", *missing]
    run(networks, monkeypatch, capsys, *again)
    found = {(row["pass"], row["code"]) for row in results.read(path)}
    assert found == {("train", rows[0]["code"]), ("infer", "othercod")}


@pytest.mark.slow
def test_auto_end_to_end(tiny, tmp_path, monkeypatch, capsys):
    import auto

    from common import results

    path = tmp_path / "auto.csv"
    printed = run(
        auto, monkeypatch, capsys, "--networks", "Tiny", "--repeats", 3, "--floats", 500,
        "--output", path,
    )  # fmt: skip
    rows = results.read(path)
    assert {row["pass"] for row in rows} == set(auto.PASSES)
    assert len(rows) == 2 * len(auto.distinct_layers(tiny))
    for one in rows:
        for form in ("conv2d", "dense"):
            ratio = float(one[f"{form}_ms"]) / float(one["auto_ms"])
            # Medians are written in microseconds.
            assert float(one[f"times_as_fast_as_{form}"]) == pytest.approx(ratio, rel=0.01)
    assert "worst: Tiny" in printed


def test_the_page_on_gpus_is_what_the_results_say():
    import gpu_page

    text = gpu_page.PAGE.read_text(encoding="utf-8")
    assert gpu_page.with_section(text, gpu_page.MAKER, gpu_page.section()) == text
    plans, kernels, *_ = map(gpu_page.results.read, gpu_page.files())
    assert {row["wrong"] for row in kernels if row["kind"] == "exactness"} == {"0"}
    dense, ours, ratio = gpu_page.kernel_ratios(plans)["64 to 64 @ 56"]
    assert ratio == sum(dense) / sum(ours)


def test_dense_counterpart_has_no_sparse_layer_and_equal_size(tiny):
    from common import alternatives

    dense = tiny.build(sparsity=0)
    plain = alternatives.in_keras(dense, alternatives.dense)
    for layer in plain.layers:
        assert type(layer).__module__.startswith("keras."), layer.name
    assert plain.count_params() == dense.count_params()
    thinner = alternatives.thinner(dense, dense.count_params() // 2)
    assert dense.count_params() / 2 <= thinner.count_params() < dense.count_params()
