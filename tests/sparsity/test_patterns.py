"""SSCPattern against a reference written from the rules, and against the paper's counts."""

import dataclasses

import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from settings import patterns

from keras_ssc import SSCPattern

RULES = ("g", "p", "shift", "parity", "dense_taps", "set_offset")


def reference_mask(arguments):
    shape = (arguments["in_channels"], arguments["filters"], arguments["kernel_size"])
    return reference.mask(*shape, *(arguments[rule] for rule in RULES))


@hypothesis_settings(max_examples=400)
@given(patterns())
def test_mask_and_counts_equal_the_rules(arguments):
    pattern, expected = SSCPattern(**arguments), reference_mask(arguments)
    np.testing.assert_array_equal(pattern.mask(), expected)
    assert pattern.weight_count == expected.sum()
    assert pattern.dense_weight_count == expected.size
    assert pattern.density == expected.sum() / expected.size
    assert pattern.sparsity == pytest.approx(1 - expected.mean(), abs=1e-12)
    assert pattern.macs(3, 5) == 15 * expected.sum()
    assert pattern.unread_channels == tuple(np.flatnonzero(~expected.any((0, 1, 3))))
    assert pattern.tap_coverage == pytest.approx(expected.any(3).mean(), abs=1e-12)


@hypothesis_settings(max_examples=200)
@given(patterns())
def test_filters_of_one_parity_have_equally_many_positions(arguments):
    pattern = SSCPattern(**arguments)
    per_filter = pattern.mask().sum((0, 1, 2))
    for parity, positions in enumerate(pattern.positions):
        assert set(per_filter[pattern.parities == parity]) <= {len(positions)}
    seen = np.concatenate([filters for _, _, filters in pattern.matrices] or [[]])
    assert len(set(seen)) == len(seen)


@hypothesis_settings(max_examples=100)
@given(patterns())
def test_sets_are_consecutive_and_shift_differently(arguments):
    pattern = SSCPattern(**arguments)
    sets = pattern.disjoint_sets()
    assert [n for one in sets for n in one] == list(range(pattern.filters))
    assert all(len(one) == pattern.q for one in sets[:-1])
    if pattern.shift == "cyclic":
        assert all(len(set(pattern.shifts[list(one)])) == len(one) for one in sets)


@pytest.mark.parametrize(("M", "g"), [(16, 4), (18, 4), (64, 8), (20, 7)])
def test_kxk_parts_of_a_set_are_disjoint_when_q_is_g(M, g):
    pattern = SSCPattern(M, 2 * g, 3, g, 0)
    mask = pattern.mask()
    for one in pattern.disjoint_sets():
        assert (mask[..., list(one)].sum(-1) <= 1).all()


@pytest.mark.parametrize("K", [2, 3, 4, 5, 7])
@pytest.mark.parametrize(("g", "p"), [(4, 3), (8, 7), (16, 3), (1, 0), (4, 0)])
def test_expected_sparsity_is_exact_where_everything_divides(K, g, p):
    # p divides g - 1 here, so neither floor removes anything.
    pattern = SSCPattern(64, 64, K, g, p)
    assert pattern.expected_sparsity == pytest.approx(pattern.sparsity, abs=1e-12)


def test_expected_sparsity_of_the_paper():
    # Equation 13 averaged over parities, K = 3: R_p = 1 - 1/(2g) - (1 - 1/g)/(9p).
    for (g, p), printed in {(4, 3): 84.7, (8, 7): 92.4, (16, 15): 96.2, (64, 21): 98.7}.items():
        assert 100 * SSCPattern(64, 64, 3, g, p).expected_sparsity == pytest.approx(
            printed, abs=0.06
        )


@pytest.mark.parametrize(
    ("shift", "parity", "set_offset", "covered"),
    [
        ("cyclic", "halves", 0, 1.0),
        ("cyclic", "halves", 1, 1.0),
        ("block", "halves", 0, 5 / 9),
        ("cyclic", "alternate", 0, 5 / 9),
        ("cyclic", "alternate", 1, 1.0),
        ("block", "alternate", 0, 1.0),
    ],
)
def test_coverage_of_the_design(shift, parity, set_offset, covered):
    pattern = SSCPattern(64, 64, 3, 8, 3, shift=shift, parity=parity, set_offset=set_offset)
    assert pattern.tap_coverage == pytest.approx(covered)


def test_channels_that_nobody_reads():
    assert SSCPattern(64, 64, 1, 0, 2).unread_channels == ()
    assert len(SSCPattern(64, 64, 1, 0, 10).unread_channels) == 64 % 10
    # g = 36: the 28 channels past 36 never get a KxK kernel from a cyclic shift.
    kxk = SSCPattern(64, 64, 3, 36, 0).mask().any((0, 1, 3))
    assert kxk.sum() == 36


def test_is_a_value():
    pattern = SSCPattern(16, 16)
    assert pattern == SSCPattern(16, 16, (3, 3), g=8, p=4)
    assert len({pattern, SSCPattern(16, 16, 3), SSCPattern(16, 16, 5)}) == 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        pattern.g = 4
    for array in (pattern.shifts, pattern.parities, *pattern.positions):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


BASE = {"in_channels": 16, "filters": 8, "kernel_size": 3, "g": 4, "p": 2}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"g": 17}, ["`g`", "at most `in_channels`", "g=17", "in_channels=16"]),
        ({"p": 13}, ["`p`", "at most 12", "p=13", "g=4"]),
        ({"g": 1}, ["`p`", "at most 0", "p=2"]),
        ({"g": 0, "p": 0}, ["`g` and `p`", "both be 0", "g=0, p=0"]),
        ({"g": -1}, ["`g`", "at least 0", "g=-1"]),
        ({"p": -1}, ["`p`", "at least 0", "p=-1"]),
        ({"kernel_size": 1}, ["`g`", "1x1 kernel", "g=4", "dense_taps"]),
        ({"kernel_size": 0}, ["`kernel_size`", "at least 1", "kernel_size=0"]),
        ({"kernel_size": (3, 3, 3)}, ["`kernel_size`", "(3, 3, 3)"]),
        ({"in_channels": 0}, ["`in_channels`", "at least 1", "in_channels=0"]),
        ({"filters": 0}, ["`filters`", "at least 1", "filters=0"]),
        ({"shift": "ring"}, ["`shift`", "cyclic", "block", "'ring'"]),
        ({"shift": None}, ["`shift`", "None"]),
        ({"parity": "odd"}, ["`parity`", "halves", "alternate", "'odd'"]),
        ({"parity": 1}, ["`parity`", "parity=1"]),
        ({"set_offset": -1}, ["`set_offset`", "at least 0", "set_offset=-1"]),
        ({"set_offset": 1, "shift": "block"}, ["`set_offset`", "cyclic", "set_offset=1"]),
    ],
)
def test_refuses_impossible_settings(change, words):
    with pytest.raises(ValueError) as error:
        SSCPattern(**(BASE | change))
    assert all(word in str(error.value) for word in words), error.value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("g", True), ("g", "4"), ("g", 4.0), ("p", None), ("p", False), ("filters", 7.5),
        ("filters", [8]), ("in_channels", "16"), ("kernel_size", "3"), ("kernel_size", 3.0),
        ("kernel_size", (3, True)), ("dense_taps", 1), ("dense_taps", None), ("set_offset", 0.5),
    ],
)  # fmt: skip
def test_refuses_wrong_types(name, value):
    with pytest.raises(TypeError) as error:
        SSCPattern(**(BASE | {name: value}))
    assert f"`{name}`" in str(error.value)
    assert "Received" in str(error.value)


def test_macs_refuses_empty_maps():
    with pytest.raises(ValueError, match="`output_width` must be at least 1"):
        SSCPattern(**BASE).macs(4, 0)
