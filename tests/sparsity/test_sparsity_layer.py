"""Choosing (g, p) for one layer, and the one definition of sparsity."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from settings import patterns

from keras_ssc import LayerShape, SSCPattern, choose_pattern
from keras_ssc.sparsity import (
    LAYER_TOLERANCE,
    awkwardness,
    count_network,
    pattern_weight_count,
)


@hypothesis_settings(max_examples=300)
@given(patterns())
def test_closed_form_equals_the_pattern(arguments):
    shape = [arguments[name] for name in ("in_channels", "filters", "kernel_size", "g", "p")]
    count = pattern_weight_count(*shape, arguments["parity"], arguments["dense_taps"])
    assert count == SSCPattern(**arguments).weight_count


@pytest.mark.parametrize("sparsity", [0.5, 0.75, 0.8, 0.9, 0.95, 0.98])
@pytest.mark.parametrize("width", [32, 64, 128, 256, 512])
def test_hits_the_target_with_a_good_pattern(width, sparsity):
    pattern = choose_pattern(width, width, 3, sparsity=sparsity)
    assert abs(pattern.density / (1 - sparsity) - 1) <= LAYER_TOLERANCE
    assert width % pattern.g == 0
    assert pattern.unread_channels == ()


@pytest.mark.parametrize(("width", "sparsity"), [(64, 0.9), (128, 0.95), (256, 0.98)])
def test_prefers_tap_coverage_and_mixing(width, sparsity):
    pattern = choose_pattern(width, width, 3, sparsity=sparsity)
    assert width >= 2 * pattern.g
    assert pattern.tap_coverage == 1.0
    # Residue classes that the 1x1s of one filter bring together: more than its own.
    _, positions, _ = pattern.matrices[0]
    pointwise = positions[len(positions) - pattern.pointwise_channels :, 2]
    assert len(set(pointwise % pattern.g)) > 1


def test_share_of_multiply_adds_is_the_density_of_a_layer():
    by_sparsity = choose_pattern(64, 64, 3, sparsity=0.9)
    assert choose_pattern(64, 64, 3, mac_share=0.1) == by_sparsity
    height, width = 5, 7
    assert by_sparsity.macs(height, width) / (35 * 9 * 64 * 64) == by_sparsity.density


def test_a_1x1_layer_takes_a_p_that_divides():
    pattern = choose_pattern(64, 32, 1, sparsity=0.75)
    assert (pattern.g, pattern.p, pattern.unread_channels) == (0, 4, ())


def test_rules_are_kept():
    pattern = choose_pattern(64, 64, 3, sparsity=0.8, shift="block", parity="alternate")
    assert (pattern.shift, pattern.parity) == ("block", "alternate")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((3, 32, 3, 0.9), ["can't be reached", "3 input channels", "0.8333 (g=2, p=0)"]),
        ((64, 64, 1, 0.9), ["0.8750 (g=0, p=8)", "0.9375 (g=0, p=16)", "sparsity=0.9"]),
        ((64, 64, 3, 1.0), ["`sparsity`", "strictly between", "1.0"]),
        ((64, 64, 3, 0), ["`sparsity`", "strictly between"]),
        ((64, 64, 3, -0.5), ["`sparsity`", "-0.5"]),
        ((64, 64, 3, float("nan")), ["`sparsity`", "nan"]),
        ((0, 64, 3, 0.9), ["`in_channels`"]),
    ],
)
def test_says_what_can_be_reached(arguments, words):
    *shape, sparsity = arguments
    with pytest.raises(ValueError) as error:
        choose_pattern(*shape, sparsity=sparsity)
    assert all(word in str(error.value) for word in words), error.value


@pytest.mark.parametrize("both", [{}, {"sparsity": 0.9, "mac_share": 0.1}])
def test_takes_one_target(both):
    with pytest.raises(ValueError, match="either `sparsity` or `mac_share`"):
        choose_pattern(64, 64, 3, **both)


def test_network_counts_by_hand():
    layers = [
        LayerShape("stem", 3, 8, (3, 3), (4, 4), sparse=False),
        LayerShape("conv", 8, 8, (3, 3), (4, 4)),
        LayerShape("depthwise", 8, 8, (3, 3), (2, 2), sparse=False, groups=8),
        LayerShape("logits", 8, 2, (1, 1), sparse=False),
    ]
    found = count_network(layers, {"conv": (4, 3)})
    live = SSCPattern(8, 8, 3, 4, 3).weight_count
    rest = [27 * 8, 72, 16]
    np.testing.assert_allclose(found.sparsity, 1 - (live + sum(rest)) / (576 + sum(rest)))
    np.testing.assert_allclose(found.layer_sparsity, 1 - live / 576)
    macs = 16 * 216 + 4 * 72 + 16
    np.testing.assert_allclose(found.mac_share, (macs + 16 * live) / (macs + 16 * 576))


def test_a_power_of_two_wins_between_equals():
    """The native kernels compute other values of q = max(g, p) slower."""
    pattern = choose_pattern(64, 64, sparsity=0.75)
    assert (pattern.g, pattern.p) == (2, 32)
    assert pattern.weight_count == SSCPattern(64, 64, 3, 2, 17).weight_count


@hypothesis_settings(max_examples=25)
@given(st.sampled_from([16, 32, 48, 64]), st.sampled_from([16, 64]), st.floats(0.3, 0.95))
def test_no_equal_choice_has_a_faster_q(in_channels, filters, sparsity):
    try:
        pattern = choose_pattern(in_channels, filters, sparsity=sparsity)
    except ValueError:
        return
    q = pattern.q
    if q & (q - 1) == 0:
        return
    cost = awkwardness(in_channels, filters, pattern.g, pattern.p)
    for p in (2**power for power in range(1, 8)):
        if pattern.g <= p <= in_channels - in_channels // pattern.g:
            other = SSCPattern(in_channels, filters, 3, pattern.g, p)
            equal = awkwardness(in_channels, filters, other.g, p) == cost
            same = other.weight_count == pattern.weight_count
            assert not (equal and same) or other.unread_channels
