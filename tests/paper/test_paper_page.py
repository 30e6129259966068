"""The page of results: means, verdicts, what ran where, and what did not run."""

import io

import matplotlib.figure
import pytest
from made_records import record_of

from paper import EXPERIMENTS, Records, Setting, tables
from paper.page import write_page
from paper.result_tables import (
    better_of,
    comparisons,
    machines,
    mean_and_deviation,
    scoreboard,
    table,
    tally,
)
from paper.row_plots import plot_rows
from paper.significance import welch


def test_means_and_standard_deviations():
    assert mean_and_deviation([0.9, 0.92, 0.94]) == "92.00 ± 2.00"


@pytest.fixture
def made(tmp_path):
    """Records of some rows of one column: SSC 20 points above dense, 0.5 above uniform."""
    records = Records(tmp_path)
    cells = [cell for cell in tables.table1("small") if cell.column == "0.98"][:6]
    for cell in cells:
        last = {"SSC": 0.5, "dense": 0.3, "SSC, uniform": 0.495}.get(cell.row)
        for number, setting in enumerate(cell.settings if last else ()):
            records.add(record_of(setting, (0.1, last + 0.01 * number)))
    return cells, records


def test_rows_of_the_past_are_shown_where_they_ran(tmp_path):
    records, cells = Records(tmp_path), tables.table5("small")
    for row in ("dense", "dense, velocity of Keras"):
        cell = next(one for one in cells if one.row == row)
        records.add(record_of(cell.settings[0], (0.1, 0.4)))
    text = table(cells, records)
    assert "| dense, velocity of Keras | 40.00 |" in text
    assert "| SSC, velocity of Keras |" not in text
    assert "| SSC | not run |" in text


def test_the_scoreboard_has_differences_with_intervals_and_adjusted_p(made):
    lines = scoreboard(*made).split("\n")
    assert lines[0] == "| SSC against | ResNet20, cifar10, 0.98 |"
    # Two comparisons, both of 3 + 3 runs with a standard deviation of 0.01: t_4 = d / 0.00816.
    stats = pytest.importorskip("scipy.stats")
    reach = 100 * stats.t.ppf(0.975, 4) * (2 * 0.01**2 / 3) ** 0.5
    p = 2 * stats.t.sf(0.005 / (2 * 0.01**2 / 3) ** 0.5, 4)
    assert f"| dense | beats, +20.0 [{20 - reach:+.1f}, {20 + reach:+.1f}], p < 0.001 |" in lines
    uniform = f"+0.5 [{0.5 - reach:+.1f}, {0.5 + reach:+.1f}], p {p:.3f}"
    assert f"| SSC, uniform | no difference shown, {uniform} |" in lines
    assert "| SSC, per_filter | the same runs |" in lines
    assert not any("SNIP" in line or line.startswith("| SSC |") for line in lines)
    assert scoreboard(*made, "SNIP") == ""
    turned = scoreboard(*made, turned=True).split("\n")
    assert turned[0] == "| against SSC | ResNet20, cifar10, 0.98 |"
    assert any(line.startswith("| dense | loses, -20.0 [") for line in turned)
    assert tally(*made, ["dense", "SSC, uniform"]).endswith(
        "SSC beats in 1, loses in 0; in 1 no difference is shown."
    )


def test_only_seeds_that_both_rows_have_are_compared(made):
    cells, records = made
    dense = next(cell for cell in cells if cell.row == "dense")
    records.path(dense.settings[0]).unlink()
    both = [0.51, 0.52], [0.31, 0.32]
    found = comparisons(cells, records)[("ResNet20", "cifar10", "0.98"), "dense"]
    assert (found.low, found.high) == pytest.approx((welch(*both).low, welch(*both).high))


def test_old_and_new_records_say_how_their_epoch_was_chosen(tmp_path):
    records = Records(tmp_path)
    cells = [cell for cell in tables.table1("small") if cell.column == "0.98"][:2]
    tested = {"last": {"accuracy": 0.4}, "best": {"accuracy": 0.45}, "best_epoch": 2}
    records.add(record_of(cells[0].settings[0], (0.1, 0.3, 0.2)))
    new = record_of(cells[1].settings[0]) | {"test": tested, "filter_norm": 0.0591}
    records.add(new)
    lines = table(cells, records).split("\n")
    assert lines[2].startswith("| method | accuracy, last epoch | best epoch | SSC against it |")
    assert lines[2].endswith("| filter norm² | s/run | the paper prints (ResNet32) |")
    assert lines[4].startswith(f"| {cells[0].row} | 20.00 | 30.00 † |")
    assert lines[5].startswith(f"| {cells[1].row} | 40.00 | 45.00 |")
    assert "| 0.0591 |" in lines[5]


def test_what_the_runs_ran_on_is_counted(tmp_path):
    records = Records(tmp_path)
    settings = [Setting("ResNet20", "digits", "dense", seed=seed) for seed in range(4)]
    assert machines(settings, records) == ""
    cpu = {"hardware": {"cpu": {"name": "a CPU"}, "cpu_count": 2}, "backend": "jax"}
    cpu |= {"versions": {"jax": "0.1"}}
    for setting, more in zip(settings, ({}, {"accelerators": ["a GPU"]}, {}), strict=False):
        records.add(record_of(setting) | {"environment": cpu | more})
    by_loop = {"environment": cpu, "loop": "paper/gpu_loop.py, bfloat16"}
    records.add(record_of(settings[3]) | by_loop)
    assert machines([*settings, settings[0]], records).split("\n") == [
        "- a CPU (2 cores), jax 0.1: 2 runs",
        "- a GPU, a CPU (2 cores), jax 0.1: 1 runs",
        "- a CPU (2 cores), jax 0.1, paper/gpu_loop.py, bfloat16: 1 runs",
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
        count = len({s for cell in experiment("small") if not cell.past for s in cell.settings})
        command = f"python applications/reproduce.py {name} --protocol small"
        assert f"\n**{name}**: not run, {count} runs; `{command}`\n" in empty
    assert [path.name for path in (tmp_path / "page").glob("*.png")] == ["figure1-kernels.png"]
    for cell in tables.table1("small")[:3] + EXPERIMENTS["figure3"]("small"):
        for number, setting in enumerate(cell.settings):
            records.add(record_of(setting, (0.5, 0.4 + 0.01 * number)))
    page = write_page(records, tmp_path / "page", "small").read_text()
    assert "| dense | 41.00 ± 1.00 | 50.00 ± 0.00 † |" in page
    assert "| SNIP | not run |" in page
    subject = ("VGG19", "cifar10", "0.95")
    cells = [c for c in tables.table1("small") if (c.network, c.dataset, c.column) == subject]
    runs = len({setting for cell in cells if not cell.past for setting in cell.settings})
    assert f"\n**VGG11, cifar10, 0.95**: not run, {runs} runs.\n" in page
    assert "| SSC against | ResNet20, cifar10, 0.98 |" in page
    assert "in 1 of 2" in page
    paper = write_page(records, tmp_path / "page", "paper", empty=True).read_text()
    assert "**table1**: not run" in paper
    assert "**table1-tuned**" not in paper  # its cells are table 1's
    names = {path.name for path in (tmp_path / "page").glob("*.png")}
    assert names == {"figure1-kernels.png"} | {
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
