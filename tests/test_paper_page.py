"""The page of results: means, verdicts, what ran where, and what did not run."""

import io

import matplotlib.figure
import pytest
from made_records import record_of

from paper import EXPERIMENTS, Records, Setting, tables
from paper.page import write_page
from paper.result_tables import (
    better_of,
    machines,
    mean_and_deviation,
    scoreboard,
    verdict,
)
from paper.row_plots import plot_rows


def test_means_and_verdicts():
    assert mean_and_deviation([0.9, 0.92, 0.94]) == "92.00 ± 2.00"
    assert verdict([0.9, 0.92, 0.94], [0.8, 0.82, 0.84]) == "beats"
    assert verdict([0.8, 0.82, 0.84], [0.9, 0.92, 0.94]) == "loses"
    assert verdict([0.9, 0.92, 0.94], [0.91, 0.93, 0.95]) == "tie"
    assert verdict([0.9], [0.8, 0.9]) == ""


def test_the_scoreboard_has_differences_of_means_in_points(tmp_path):
    records = Records(tmp_path)
    cells = [cell for cell in tables.table1("small") if cell.column == "0.98"][:6]
    for cell in cells:
        last = {"SSC": 0.5, "dense": 0.3, "SSC, uniform": 0.495}.get(cell.row)
        for number, setting in enumerate(cell.settings if last else ()):
            records.add(record_of(setting, (0.1, last + 0.01 * number)))
    lines = scoreboard(cells, records).split("\n")
    assert lines[0] == "| SSC against | ResNet32, cifar10, 0.98 |"
    assert "| dense | beats, +20.0 |" in lines
    assert "| SSC, uniform | tie, +0.5 |" in lines
    assert "| SSC, per_filter | the same runs |" in lines
    assert not any("SNIP" in line or line.startswith("| SSC |") for line in lines)
    assert scoreboard(cells, records, "SNIP") == ""
    turned = scoreboard(cells, records, turned=True).split("\n")
    assert turned[0] == "| against SSC | ResNet32, cifar10, 0.98 |"
    assert {"| dense | loses, -20.0 |", "| SSC, uniform | tie, -0.5 |"} < set(turned)


def test_what_the_runs_ran_on_is_counted(tmp_path):
    records = Records(tmp_path)
    settings = [Setting("ResNet20", "digits", "dense", seed=seed) for seed in range(4)]
    assert machines(settings, records) == ""
    cpu = {"hardware": {"cpu": {"name": "a CPU"}, "cpu_count": 2}, "backend": "jax"}
    cpu |= {"versions": {"jax": "0.1"}}
    for setting, more in zip(settings, ({}, {"accelerators": ["a GPU"]}, {}), strict=False):
        records.add(record_of(setting) | {"environment": cpu | more})
    assert machines([*settings, settings[0]], records).split("\n") == [
        "- a CPU (2 cores), jax 0.1: 2 runs",
        "- a GPU, a CPU (2 cores), jax 0.1: 1 runs",
    ]


def test_the_better_of_two_rates_is_of_what_finished_at_both(tmp_path):
    records = Records(tmp_path)
    at = {"0.1": tables.table1("small"), "0.03": EXPERIMENTS["table1-tuned"]("small")}
    accuracy = {
        ("0.1", "SSC, uniform"): 0.5, ("0.03", "SSC, uniform"): 0.4,
        ("0.1", "SNIP"): 0.3, ("0.03", "SNIP"): 0.6,
        ("0.03", "GraSP"): 0.9,
    }  # fmt: skip
    for rate, cells in at.items():
        for cell in cells:
            subject = (cell.dataset, cell.column)
            if subject == ("cifar10", "0.98") and (rate, cell.row) in accuracy:
                for setting in cell.settings:
                    records.add(record_of(setting, (0.1, accuracy[rate, cell.row])))
    # GraSP ran at one rate only; VGG is another network where it is tuned.
    every = better_of(at["0.03"], at["0.1"], records)
    better = [cell for cell in every if cell.settings]
    assert {"GraSP", "SynFlow"} < {cell.row for cell in every}
    assert [(cell.network, cell.row) for cell in better] == [
        ("ResNet32", "SSC, uniform"),
        ("ResNet32", "SNIP"),
    ]
    assert [cell.settings[0].learning_rate for cell in better] == [0.1, 0.03]
    records.path(better[0].settings[-1]).unlink()
    left = [cell for cell in better_of(at["0.03"], at["0.1"], records) if cell.settings]
    assert [cell.row for cell in left] == ["SNIP"]


def test_the_page_says_what_was_not_run(tmp_path):
    records = Records(tmp_path / "records")
    empty = write_page(records, tmp_path / "page", "small", empty=True).read_text()
    for name, experiment in EXPERIMENTS.items():
        count = len({one for cell in experiment("small") for one in cell.settings})
        command = f"python applications/reproduce.py {name} --protocol small"
        assert f"\n**{name}**: not run, {count} runs; `{command}`\n" in empty
    assert not list((tmp_path / "page").glob("*.png"))
    for cell in tables.table1("small")[:3] + EXPERIMENTS["figure3"]("small"):
        for number, setting in enumerate(cell.settings):
            records.add(record_of(setting, (0.5, 0.4 + 0.01 * number)))
    page = write_page(records, tmp_path / "page", "small").read_text()
    assert "| dense | 41.00 ± 1.00 | 50.00 ± 0.00 |" in page
    assert "| SNIP | not run |" in page
    assert "\n**VGG19, cifar10, 0.95**: not run, 60 runs.\n" in page
    assert "| SSC against | ResNet32, cifar10, 0.98 |" in page
    assert "in 1 of 2" in page
    paper = write_page(records, tmp_path / "page", "paper", empty=True).read_text()
    assert "**table1**: not run" in paper
    assert "**table1-tuned**" not in paper  # its cells are table 1's
    names = {path.name for path in (tmp_path / "page").glob("*.png")}
    assert names == {
        f"small-{name}.png"
        for name in ("table1-accuracy", "table1-multiply-adds", "figure3-correlation")
    }


def test_a_row_of_points_is_where_its_accuracies_are(tmp_path, monkeypatch):
    records, figures = Records(tmp_path), []
    monkeypatch.setattr(
        matplotlib.figure.Figure, "savefig", lambda figure, *_, **__: figures.append(figure)
    )
    cells = EXPERIMENTS["figure4-left"]("small")
    assert not plot_rows(cells, records, io.BytesIO())
    for place, cell in enumerate(cells):
        for number, setting in enumerate(cell.settings):
            records.add(record_of(setting, (0.1, 0.3 + 0.05 * place + 0.01 * number)))
    assert plot_rows(cells, records, io.BytesIO())
    (axis,) = figures[0].axes
    assert [label.get_text() for label in axis.get_yticklabels()] == ["dense", "SSC"]
    means = [bar.lines[0].get_xydata()[0] for bar in axis.containers]
    assert [x for x, _ in means] == pytest.approx([31, 41, 51, 36, 46, 56])
    assert [round(float(y)) for _, y in means] == [0] * 3 + [1] * 3
    seeds = axis.collections[1].get_offsets()  # 0 is the bar of the first mean
    assert sorted(x for x, _ in seeds) == pytest.approx([30, 31, 32])
    (legend,) = figures[0].legends
    assert [text.get_text() for text in legend.get_texts()] == ["0.2", "0.4", "0.5"]
