"""Figure 3's table and picture: the factor that did best is drawn, all are printed."""

import pytest
from made_records import record_of

from paper import EXPERIMENTS, Records
from paper.correlations import correlation_table, drawn, plot_correlations


@pytest.fixture
def made(tmp_path):
    """The cells of the last column, and records in which SO 0.001 and DSO 0.0001 do best."""
    cells = EXPERIMENTS["figure3"]("small")
    cells = [cell for cell in cells if cell.column == cells[-1].column]
    records = Records(tmp_path)
    best = {"SO 0.001": 0.4, "DSO 0.0001": 0.4, "DSO 0.01": 0.2}
    missing = ("SO 0.01", "SSC, live initial scale")
    for cell in cells:
        if cell.row not in missing:
            records.add(record_of(cell.settings[0], (0.9, best.get(cell.row, 0.3))))
    return cells, records


def test_of_each_regularizer_the_best_factor_is_drawn(made):
    assert list(drawn(*made)) == ["standard", "SO 0.001", "DSO 0.0001", "SSC"]


def test_the_table_counts_layers_and_says_what_was_not_run(made):
    lines = correlation_table(*made).split("\n")
    assert lines[0] == f"**ResNet32, cifar100, {made[0][0].column}**"
    assert "| standard | 30.00 | 0.250 | yes | in 1 of 2 | not run |" in lines
    assert "| SO 0.0001 | 30.00 | 0.250 |  | in 1 of 2 | not run |" in lines
    assert "| SO 0.01 | not run |  |  |  |  |" in lines
    assert "| SSC | 30.00 | 0.150 | yes |  |  |" in lines


def test_a_picture_needs_records(made, tmp_path):
    cells, records = made
    assert plot_correlations(cells, records, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert not plot_correlations(cells, Records(tmp_path / "none"), tmp_path / "b.png")
    assert not (tmp_path / "b.png").exists()


def test_factors_are_compared_on_images_held_out():
    chosen = [cell.settings[0] for cell in EXPERIMENTS["figure3"]("paper")]
    longer = [cell.settings[0] for cell in EXPERIMENTS["figure3"]("small")[len(chosen) :]]
    assert {setting.held_out for setting in chosen + longer} == {5000}


def test_short_runs_forget_their_start_as_long_ones_do():
    paper = EXPERIMENTS["figure3"]("paper")[0].settings[0]
    short = EXPERIMENTS["figure3"]("small")[-1].settings[0]
    steps = 160 * -(-50_000 // 128), short.epochs * -(-short.train_images // short.batch_size)
    assert steps == (62_560, 5_008)
    assert paper.learning_rate == short.learning_rate
    assert short.l2 * steps[1] == pytest.approx(paper.l2 * steps[0], rel=0.01)
