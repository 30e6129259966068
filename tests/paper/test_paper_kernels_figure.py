"""Figure 1 shows the taps of equation 3."""

import io

import numpy as np
import pytest

from paper.kernels_figure import kernel_masks, plot_kernels


@pytest.mark.parametrize("size", [2, 3, 5])
def test_the_kernels_are_those_of_the_paper(size):
    odd, even, point = kernel_masks(size)
    for row, column in np.ndindex(size, size):
        assert odd[row, column] == ((row + column) % 2 == 1)
        assert even[row, column] == ((row + column) % 2 == 0)
    assert np.argwhere(point).tolist() == [[(size - 1) // 2] * 2]


def test_the_picture_shows_them():
    picture = io.BytesIO()
    figure = plot_kernels(picture)
    assert picture.getvalue().startswith(b"\x89PNG")
    for axis, mask in zip(figure.axes, kernel_masks(), strict=True):
        (mesh,) = axis.collections
        np.testing.assert_array_equal(np.reshape(mesh.get_array(), (3, 3)), mask)
        assert f"{mask.sum()} of 9 taps" in axis.get_title()
        assert axis.yaxis_inverted()  # the first row at the top
