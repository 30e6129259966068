"""The row kernels: 3x3 convolutions of stride 1 on maps at least 8 pixels wide."""

import numpy as np
import pytest
from native_cases import case, three_passes, ways

pytestmark = [pytest.mark.jax, pytest.mark.usefixtures("compiler")]


# (M, N, g, p): sets of 4, 8 and more filters; one or two vectors of a shift; with and without 1x1.
ROWS = [
    (32, 32, 8, 3),
    (32, 64, 8, 2),
    (48, 32, 8, 1),
    (64, 96, 16, 15),
    (32, 32, 16, 0),
    (64, 64, 32, 3),
    (64, 128, 64, 9),
    (32, 32, 4, 1),
    (32, 64, 8, 16),
]


@pytest.mark.parametrize("numbers", ROWS, ids=str)
@pytest.mark.parametrize(("size", "batch"), [((8, 8), 3), ((5, 13), 1), ((2, 33), 1)])
def test_row_by_row_equals_the_reference(numbers, size, batch):
    layer = dict(zip(("in_channels", "filters", "g", "p"), numbers, strict=True))
    pattern, (x, weights, dy), expected, settings = case(layer, size, batch)
    for widest, slices in ways():
        results = three_passes(pattern, x, weights, dy, **settings, widest=widest, slices=slices)
        for actual, wanted in zip(results, expected, strict=True):
            scale = np.abs(wanted).max()
            np.testing.assert_allclose(actual / scale, wanted / scale, atol=1e-5)


@pytest.mark.parametrize("numbers", ROWS[:4], ids=str)
def test_what_is_no_number_stays_in_its_image(numbers):
    layer = dict(zip(("in_channels", "filters", "g", "p"), numbers, strict=True))
    pattern, (x, weights, dy), _, settings = case(layer, (9, 11), batch=5)
    clean = three_passes(pattern, x, weights, dy, **settings)
    x[2], dy[2] = np.nan, np.nan
    y, dx, *_ = three_passes(pattern, x, weights, dy, **settings, slices=1)
    others = [0, 1, 3, 4]
    np.testing.assert_array_equal(y[others], clean[0][others])
    np.testing.assert_array_equal(dx[others], clean[1][others])
    assert np.isnan(y[2]).all()
    assert np.isnan(dx[2]).all()
