"""SSC networks whose weights are shared out by a rule: as many weights, filters as large."""

import dataclasses

import numpy as np
import pytest

from keras_ssc import SSCConv2D
from keras_ssc.patterns import SSCPattern
from paper import METHODS, Setting
from paper.data import experiment_data
from paper.mixing_table import joined_table
from paper.networks import filter_norms
from paper.shares import RULES, one_kernel, sloped

SETTING = Setting(
    "ResNet20", "digits", "ssc", "per_filter+dense_scale", 0.975, image_size=16, train_images=20
)


def kernels_and_points(pattern):
    """Positions of a filter: ({KxK kernels}, {1x1 kernels}) of each, counted in the mask."""
    mask = pattern.mask().reshape(9, pattern.in_channels, pattern.filters)
    taps = mask.sum(axis=0)
    return {(int((column > 1).sum()), int((column == 1).sum())) for column in taps.T}


@pytest.mark.parametrize("method", RULES)
def test_no_more_weights_and_filters_as_large(method):
    data = experiment_data(SETTING)
    plain = METHODS["ssc"](SETTING, data).model
    other = METHODS[method](dataclasses.replace(SETTING, method=method), data).model
    kept, keeps = (
        sum(layer.pattern.weight_count for layer in model.layers if isinstance(layer, SSCConv2D))
        for model in (plain, other)
    )
    assert 0.9 * kept < keeps <= kept
    norms, wanted = filter_norms(other), filter_norms(plain)
    sparse = [layer.name for layer in other.layers if isinstance(layer, SSCConv2D)]
    for name in sparse:
        assert norms[name] == pytest.approx(wanted[name], rel=0.2)  # one draw and another
    images = np.zeros((2, 16, 16, 3), "float32")
    assert other(images).shape == plain(images).shape


def test_one_kernel():
    patterns = {f"{m}": SSCPattern(m, m, 3, g=m // 2, p=m // 2 - 1) for m in (32, 64, 128)}
    for name, (g, p) in one_kernel(patterns).items():
        channels = int(name)
        assert kernels_and_points(patterns[name]) == {(2, 2)}
        found = kernels_and_points(SSCPattern(channels, channels, 3, g=g, p=p))
        assert {kernels for kernels, _ in found} == {1}
        assert {points for _, points in found} <= {5, 6, 7}


def test_slope_falls_from_layer_to_layer():
    pattern = SSCPattern(128, 128, 3, g=64, p=63)
    settings = sloped({f"{place}": pattern for place in range(12)})
    counts = [SSCPattern(128, 128, 3, *one).weight_count for one in settings.values()]
    assert counts == sorted(counts, reverse=True)
    assert 2.5 < counts[0] / counts[-1] < 5
    assert 0.9 * 12 * pattern.weight_count < sum(counts) <= 12 * pattern.weight_count


def test_the_table_of_joined_channels_has_the_rules_patterns():
    from paper import EXPERIMENTS

    cells = [one for one in EXPERIMENTS["mixing"]("small") if "0.975" in one.column]
    text = joined_table(cells)
    assert "| ResNet20 | one KxK kernel | 0.975 | (32, " in text
    assert text.count("| slope |") == 1
