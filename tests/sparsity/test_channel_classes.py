"""keras_ssc.channel_classes against the positions that a pattern lists one by one."""

import itertools

import numpy as np
import pytest
from reference import reads

from keras_ssc import channel_classes
from keras_ssc.patterns import SSCPattern

PATTERNS = [
    SSCPattern(12, 9, g=3, p=2),
    SSCPattern(12, 12, g=4, p=3, parity="alternate"),
    SSCPattern(12, 10, g=4, p=0, shift="block"),
    SSCPattern(8, 16, g=2, p=4, set_offset=3),
    SSCPattern(8, 8, g=8, p=0, dense_taps=True),
]


def off_centre(pattern):
    """For every filter, the channels read at taps around the centre: those of KxK kernels."""
    rules = (pattern.g, pattern.p, pattern.shift, pattern.parity)
    found = reads(
        pattern.in_channels,
        pattern.filters,
        pattern.kernel_size,
        *rules,
        pattern.dense_taps,
        pattern.set_offset,
    )
    return [{channel for *tap, channel in one if tap != [1, 1]} for one in found]


@pytest.mark.parametrize("pattern", PATTERNS, ids=str)
def test_a_filters_kernels_lie_on_the_channels_of_its_class(pattern):
    classes = channel_classes.filter_classes(pattern)
    for own, channels in zip(classes, off_centre(pattern), strict=True):
        assert channels == {c for c in range(pattern.in_channels) if c % pattern.g == own}


@pytest.mark.parametrize("pattern", PATTERNS, ids=str)
def test_counts_and_orders_of_filters(pattern):
    classes = channel_classes.filter_classes(pattern).tolist()
    counts = channel_classes.filter_counts(pattern).tolist()
    assert counts == [classes.count(one) for one in range(pattern.g)]
    assert channel_classes.equally_many_filters(pattern) == (max(counts) == min(counts))
    order = channel_classes.filters_by_class(pattern).tolist()
    assert order == sorted(range(pattern.filters), key=lambda n: (classes[n], n))
    order = channel_classes.filters_by_reads(pattern)
    assert [classes[n] for n in order] == sorted(classes)
    columns = pattern.mask().reshape(-1, pattern.filters).T[order]
    changes = sum(not np.array_equal(a, b) for a, b in itertools.pairwise(columns))
    assert changes == len(np.unique(columns, axis=0)) - 1  # equal filters stand side by side


def test_without_kxk_kernels_each_shift_is_a_class():
    pattern = SSCPattern(8, 8, 1, g=0, p=4)
    order = channel_classes.filters_by_reads(pattern)
    assert (np.diff(pattern.shifts[order]) >= 0).all()


def test_channels_by_class():
    order = channel_classes.residues_first(6, 3)
    assert order.tolist() == [0, 3, 1, 4, 2, 5]
    assert channel_classes.is_residues_first(order, 3)
    assert not channel_classes.is_residues_first(order, 2)
    assert not channel_classes.is_residues_first(np.arange(7), 2)
    assert channel_classes.is_by_class(order, 3)
    assert channel_classes.is_by_class(order[[1, 0, 2, 3, 5, 4]], 3)
    assert not channel_classes.is_by_class(np.arange(6), 3)


@pytest.mark.parametrize(
    ("g", "p", "why"),
    [
        (0, 2, "g = 0: there is no KxK part to group"),
        (1, 0, "g = 1: the one group is the dense kernel"),
        (3, 2, "g = 3 does not divide the 8 input channels"),
        (4, 2, None),
    ],
)
def test_why_no_classes(g, p, why):
    assert channel_classes.why_no_classes(SSCPattern(8, 8, g=g, p=p)) == why
