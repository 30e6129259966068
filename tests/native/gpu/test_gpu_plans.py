"""The choice among plans of the GPU's kernels: the clocks that each should take."""

import csv
import sys
from pathlib import Path

import numpy as np
import pytest
from gpu_cases import H100, pattern

from keras_ssc.native.gpu import convolution_plan, costs, gradient_plan, order, planning, tiles
from keras_ssc.native.gpu.reads import Geometry
from keras_ssc.patterns import SSCPattern

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


def passes(own, size, strides=1):
    """(module, the arguments of its `plan` but for batch, dtype and device) of each pass."""
    places = order.weight_places(SSCPattern(**own))
    geometry = Geometry((own["kernel_size"],) * 2, (strides,) * 2, "same", (1, 1), size)
    yield convolution_plan, (places, geometry.forward())
    yield convolution_plan, (places.transpose(0, 2, 1), geometry.by_input())
    yield gradient_plan, (places, geometry.forward())


def simulated(busy, waits, once, tiles, groups, at_a_time, multiprocessors):
    """The clocks, by dealing out the tiles round by round to the first multiprocessor's blocks."""
    along = max(1, min(at_a_time * multiprocessors // groups, tiles))
    clocks = -(-along * groups // multiprocessors) * once
    while tiles:
        now = min(along, tiles)
        clocks += len(range(0, now * groups, multiprocessors)) * busy + waits
        tiles -= now
    return clocks


def test_clocks_are_those_of_rounds_of_tiles():
    random = np.random.default_rng(0)
    for _ in range(200):
        tiles, groups, at_a_time = (int(random.integers(1, n)) for n in (3000, 200, 5))
        work, device = random.integers(1, 1000, 3).tolist(), int(random.integers(1, 140))
        launch = (tiles, groups, at_a_time, device)
        assert costs.clocks(*work, *launch) == simulated(*work, *launch)


@pytest.mark.parametrize("itemsize", [2, 4])
def test_a_plan_is_the_same_by_its_numbers(itemsize):
    """All tiles are weighed at once; one alone gives the same clocks, and fits."""
    for kind, settings in passes(pattern(32, 64, p=3), (9, 7), strides=2):
        choices = list(kind.all_choices(*settings, 5, itemsize, 101376, 30))
        for choice in choices[::5]:
            numbers = kind.numbers_of(choice)
            own = kind.measured_choice(numbers, *settings, itemsize, 101376)
            assert kind.numbers_of(own) == numbers
            clocks = kind.clocks_of(own, settings[1], 5, itemsize, 30)
            np.testing.assert_allclose(clocks, choice.cost)
        least = min(choice.cost for choice in choices)
        plan = planning.plan(kind, *settings, 5, itemsize, 101376, multiprocessors=30)
        best = next(choice for choice in choices if choice.cost == least)
        made = kind.made(best, *settings, 5, itemsize).launch
        assert (plan.launch.defines, plan.launch.problem) == (made.defines, made.problem)


def test_the_tile_of_least_clocks_that_fits():
    reads = Geometry((3, 3), (2, 1), "same", (1, 1), (30, 17)).forward()
    many = tiles.all_tiles(reads, 3, 64)
    sides = list(zip(many.images, many.rows, many.columns, strict=True))
    random = np.random.default_rng(0)
    clocks, fits = random.random(len(sides)), random.random(len(sides)) < 0.5
    choice = convolution_plan.Choice(0, None, None, 1, None, many, np.arange(len(sides)))
    found = tiles.with_best(choice, clocks, fits)
    expected = min(np.flatnonzero(fits), key=lambda i: clocks[i])
    assert (found.cost, found.at_a_time) == (clocks[expected], expected)
    assert found.tile == tiles.tile_of(*sides[expected], reads)
    assert tiles.with_best(choice, clocks, np.zeros_like(fits)) is None


def test_a_device_of_fewer_multiprocessors_takes_longer():
    for kind, settings in passes(pattern(), (14, 14)):
        clocks = [
            min(choice.cost for choice in kind.all_choices(*settings, 64, 2, H100, count))
            for count in (132, 66, 20)
        ]
        assert clocks == sorted(clocks)
        assert clocks[-1] > 2 * clocks[0]


def test_numbers_are_found_again_in_times_that_follow_them(monkeypatch, tmp_path, capsys):
    pytest.importorskip("scipy")
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import gpu_costs

    from common.gpu_layers import PASSES, described, planner_of

    rows = []
    for layer in ((16, 16, 3, (4, 3), 9, 1), (32, 32, 3, (8, 7), 8, 1), (64, 64, 1, (0, 2), 8, 1)):
        for which in PASSES:
            kind, settings = planner_of(layer, "bfloat16", which, 64)
            for choice in list(kind.all_choices(*settings, H100))[::3]:
                own = {"median_us": choice.cost / gpu_costs.CLOCKS, "cost": -choice.cost}
                about = {**described(layer), "dtype": "bfloat16", "batch": 64, "pass": which}
                rows.append(about | own | kind.numbers_of(choice))
    names = dict.fromkeys(name for row in rows for name in row)
    with (tmp_path / "plans.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)
    monkeypatch.setattr(sys, "argv", ["gpu_costs.py", str(tmp_path / "plans.csv")])
    gpu_costs.main()
    printed = capsys.readouterr().out
    for name in gpu_costs.NUMBERS:
        assert f"'{name}': {getattr(costs, name):.3g}" in printed
    assert "costs.py: mean 1.000, most 1.000" in printed
    assert "other layers: mean 1.000, most 1.000" in printed
