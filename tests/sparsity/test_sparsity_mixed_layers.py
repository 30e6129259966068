"""Patterns for many layers together: the sum lands, every channel is read."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_ssc.sparsity import choose_together

widths = st.sampled_from([1, 3, 4, 8, 16, 24, 30, 48, 64, 97, 128])
kernels = st.sampled_from([(1, 1), (3, 3), (3, 1), (5, 5), (2, 4)])
shapes = st.lists(st.tuples(widths, widths, kernels), min_size=1, max_size=8)


def total(patterns, what):
    return sum(getattr(pattern, what) for pattern in patterns)


def bottlenecks():
    """The converted layers of a ResNet50."""
    found, width = [], 64
    for filters, blocks in ((64, 3), (128, 4), (256, 6), (512, 3)):
        for block in range(blocks):
            found += [(width, filters, (1, 1)), (filters, filters, (3, 3))]
            found += [(filters, 4 * filters, (1, 1))]
            found += [(width, 4 * filters, (1, 1))] if block == 0 else []
            width = 4 * filters
    return found


@pytest.mark.parametrize("sparsity", [0.5, 0.6, 0.8, 0.9, 0.95, 0.98])
def test_a_resnet50_lands(sparsity):
    patterns, too_narrow = choose_together(bottlenecks(), sparsity)
    reached = 1 - total(patterns, "weight_count") / total(patterns, "dense_weight_count")
    assert reached == pytest.approx(sparsity, abs=0.001)
    assert not any(too_narrow)


@pytest.mark.parametrize("sparsity", [0.8, 0.9, 0.92])
def test_a_resnet50_for_a_gpu(sparsity):
    """One g for all 3x3 layers, whose p divides g - 1; one p for the point-wise ones."""
    patterns, too_narrow = choose_together(bottlenecks(), sparsity, pattern_for="gpu")
    kept = total(patterns, "weight_count") / total(patterns, "dense_weight_count")
    assert kept == pytest.approx(1 - sparsity, rel=0.25)
    assert not any(too_narrow)
    square = {(one.g, one.p) for one in patterns if one.g}
    assert len(square) == len({one.p for one in patterns if not one.g}) == 1
    (g, p), *_ = square
    assert (g - 1) % p == 0
    assert [(one.in_channels, one.filters, one.kernel_size) for one in patterns] == bottlenecks()


def test_where_the_widths_suit_no_gpu_the_choice_is_that_for_a_cpu():
    odd = [(64, 97, (3, 3)), (97, 64, (3, 3))]
    assert choose_together(odd, 0.7, pattern_for="gpu") == choose_together(odd, 0.7)
    with pytest.raises(ValueError, match="`pattern_for`"):
        choose_together(odd, 0.7, pattern_for="tpu")


@settings(max_examples=60)
@given(shapes, st.floats(0.3, 0.98), st.sampled_from(["cyclic", "block"]))
def test_no_channel_is_unread_and_what_is_out_of_reach_is_said(shapes, sparsity, shift):
    try:
        patterns, too_narrow = choose_together(shapes, sparsity, shift=shift)
    except ValueError as error:
        least, most = (float(word) for word in str(error).split() if word[:2] in ("0.", "1."))
        assert not least - 0.003 <= sparsity <= most + 0.003
        return
    assert [(one.in_channels, one.filters, one.kernel_size) for one in patterns] == shapes
    assert all(pattern.unread_channels == () for pattern in patterns)
    assert len(too_narrow) == len(shapes)


def test_nearest_of_a_single_layer():
    for sparsity, p in ((0.875, 8), (0.9, 8), (0.93, 16), (0.96, 32)):
        (pattern,), _ = choose_together([(64, 64, (1, 1))], sparsity)
        assert (pattern.g, pattern.p) == (0, p)


def test_equal_layers_get_equal_settings_where_one_lands():
    patterns, _ = choose_together([(64, 64, (3, 3))] * 6, 0.9062)
    assert {(pattern.g, pattern.p) for pattern in patterns} == {(8, 3)}


def test_point_wise_layers_take_turns_in_their_offsets():
    patterns, _ = choose_together([(64, 64, (1, 1)), (64, 64, (3, 3))] * 4, 0.88)
    assert [one.set_offset for one in patterns] == [1, 0, 2, 0, 4, 0, 1, 0]
    block, _ = choose_together([(64, 64, (1, 1))] * 2, 0.875, shift="block")
    assert {one.set_offset for one in block} == {0}


def test_nothing_to_choose():
    assert choose_together([], 0.9) == ([], [])


def test_all_shares_of_a_wide_layer_are_near():
    for sparsity in np.arange(0.52, 0.99, 0.01):
        (pattern,), _ = choose_together([(256, 256, (3, 3))], float(sparsity))
        assert pattern.density == pytest.approx(1 - sparsity, rel=0.35)
