"""Welch's test and Benjamini-Hochberg against independent values and slow definitions."""

import numpy as np
import pytest

from paper.significance import Comparison, benjamini_hochberg, compared, welch


def test_welch_is_that_of_scipy():
    stats = pytest.importorskip("scipy.stats")
    random = np.random.default_rng(0)
    for sizes in ((3, 3), (2, 5), (4, 3)):
        ours = random.normal(0.5, 0.01, sizes[0]).tolist()
        theirs = random.normal(0.52, 0.03, sizes[1]).tolist()
        found = welch(ours, theirs)
        expected = stats.ttest_ind(ours, theirs, equal_var=False)
        interval = expected.confidence_interval(0.95)
        assert found.p == pytest.approx(expected.pvalue)
        assert (found.low, found.high) == pytest.approx(tuple(interval))
        assert found.difference == pytest.approx(np.mean(ours) - np.mean(theirs))


def test_a_p_value_is_the_share_of_larger_differences_by_chance():
    """Without scipy: the distribution of t drawn at random, with Student's 4 degrees of freedom."""
    random = np.random.default_rng(0)
    ours, theirs = [0.50, 0.51, 0.53], [0.47, 0.48, 0.50]
    x, y = random.normal(size=(2, 400_000, 3))
    t = np.abs(x.mean(1) - y.mean(1)) / np.sqrt((x.var(1, ddof=1) + y.var(1, ddof=1)) / 3)
    difference = np.mean(ours) - np.mean(theirs)
    own = difference / np.sqrt((np.var(ours, ddof=1) + np.var(theirs, ddof=1)) / 3)
    # Their variances are equal, so Welch's degrees of freedom are those of Student's test.
    assert welch(ours, theirs).p == pytest.approx((t >= own).mean(), rel=0.02)


def test_runs_without_spread():
    assert welch([0.5], [0.4, 0.5]) is None
    assert welch([0.5, 0.5], [0.5, 0.5]) is None
    assert welch([0.5, 0.5], [0.25, 0.25]) is None


def test_adjusted_values_reject_what_the_step_up_procedure_rejects():
    random = np.random.default_rng(0)
    for count in (1, 5, 49):
        values = random.uniform(0, 0.2, count) ** 2
        adjusted = np.array(benjamini_hochberg(values))
        for level in (0.01, 0.05, 0.2):
            ranked = np.sort(values)
            passing = [k for k in range(1, count + 1) if ranked[k - 1] <= level * k / count]
            limit = ranked[max(passing) - 1] if passing else -1.0
            assert np.array_equal(adjusted <= level * (1 + 1e-12), values <= limit)
    assert benjamini_hochberg([]) == []


def test_verdicts():
    assert Comparison(0.1, 0.05, 0.15, 0.01).verdict == "beats"
    assert Comparison(-0.1, -0.15, -0.05, 0.01).verdict == "loses"
    assert Comparison(0.1, -0.05, 0.25, 0.05).verdict == "no difference shown"


def test_many_comparisons_make_a_verdict_harder():
    pair = ([0.50, 0.52, 0.54], [0.45, 0.46, 0.48])
    alone = compared({"a": pair})["a"]
    chance = {f"{k}": ([0.5, 0.52], [0.5, 0.521]) for k in range(20)}
    among = compared({"a": pair, **chance})["a"]
    assert alone.verdict == "beats"
    assert among.verdict == "no difference shown"
    assert among.difference == alone.difference
