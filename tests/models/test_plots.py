"""The picture of a pattern shows exactly the pattern's live weights."""

import builtins
import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex

from keras_ssc.patterns import SSCPattern
from keras_ssc.plots import DEAD, EVEN, ODD, POINTWISE, plot_pattern

PATTERNS = [
    SSCPattern(16, 16, g=8, p=3),
    SSCPattern(6, 5, (2, 5), g=2, p=0),
    SSCPattern(12, 9, g=4, p=3, dense_taps=True, shift="block", parity="alternate"),
    SSCPattern(8, 8, 1, g=0, p=2),
    SSCPattern(7, 6, g=3, p=5, set_offset=1),
]


def drawn(figure):
    """Return {(filter, channel, row, column): colour} read back from the squares."""
    axes = figure.axes[0]
    (squares,) = axes.collections
    filters = [int(label.get_text()) for label in axes.get_yticklabels()]
    channels = [int(label.get_text()) for label in axes.get_xticklabels()]
    cells = {}
    for path, colour in zip(squares.get_paths(), squares.get_facecolors(), strict=True):
        x, y = path.vertices[:4].mean(axis=0)
        line = int(np.argmin(abs(axes.get_yticks() - y)))
        cells.setdefault((filters[line], channels[int(x)]), []).append((y, x, to_hex(colour)))
    return cells


def kernel(cell, kernel_size):
    """Return the colours of one cell as a (rows, columns) array, from their places."""
    by_row = sorted(cell)  # by y, then x
    return np.array([colour for _, _, colour in by_row]).reshape(kernel_size)


@pytest.mark.parametrize("pattern", PATTERNS, ids=str)
def test_live_squares_are_the_mask(pattern):
    cells = drawn(plot_pattern(pattern))
    assert len(cells) == pattern.in_channels * pattern.filters
    mask = pattern.mask()
    for (n, channel), cell in cells.items():
        live = kernel(cell, pattern.kernel_size) != DEAD
        np.testing.assert_array_equal(live, mask[:, :, channel, n])


@pytest.mark.parametrize("pattern", PATTERNS, ids=str)
def test_colours_tell_the_kinds_apart(pattern):
    for (n, channel), cell in drawn(plot_pattern(pattern)).items():
        live = {colour for _, _, colour in cell} - {DEAD}
        r = (channel - pattern.shifts[n] - 1) % pattern.in_channels + 1
        odd = pattern.parities[n] and not pattern.dense_taps
        expected = (ODD if odd else EVEN) if pattern.g and r % pattern.g == 0 else POINTWISE
        assert live <= {expected}


def test_large_patterns_show_some_even_and_some_odd_filters():
    axes = plot_pattern(SSCPattern(64, 96)).axes[0]
    filters = [int(label.get_text()) for label in axes.get_yticklabels()]
    assert filters == [*range(16), *range(48, 64)]
    assert len(axes.get_xticks()) == 32


def test_asked_filters_and_channels_are_drawn():
    pattern = SSCPattern(64, 96)
    cells = drawn(plot_pattern(pattern, filters=[3, 95], channels=range(40, 44)))
    assert sorted(cells) == [(n, channel) for n in (3, 95) for channel in range(40, 44)]
    mask = pattern.mask()
    for (n, channel), cell in cells.items():
        live = kernel(cell, (3, 3)) != DEAD
        np.testing.assert_array_equal(live, mask[:, :, channel, n])


def test_words_name_g_p_sparsity_and_the_kinds_of_kernel():
    figure = plot_pattern(SSCPattern(16, 16, g=8, p=3))
    assert "g = 8, p = 3" in figure.get_suptitle()
    assert "208 of 2,304 weights are live: sparsity 0.910" in figure.get_suptitle()
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "even 3×3 kernel (5 weights): 1 in 8 channels",
        "odd 3×3 kernel (4 weights): 1 in 8 channels",
        "1×1 kernel (1 weight): 1 in 3 of the others",
        "no weight",
    ]


def test_shifts_are_written_beside_the_filters():
    pattern = SSCPattern(16, 16, g=8, p=3)
    figure = plot_pattern(pattern)
    (shifts,) = figure.axes[0].child_axes
    written = [int(label.get_text()) for label in shifts.get_yticklabels()]
    np.testing.assert_array_equal(written, pattern.shifts)


def test_picture_is_written_and_no_figure_stays_open(tmp_path):
    path = tmp_path / "pattern.png"
    plot_pattern(SSCPattern(8, 8, g=4, p=3), path)
    image = plt.imread(path)
    assert image.shape[0] > 100
    assert image.std() > 0.05
    assert plt.get_fignums() == []


@pytest.mark.parametrize("name", ["filters", "channels"])
@pytest.mark.parametrize("indices", [[], [8], [-1], ["0"]])
def test_indices_that_are_not_there_are_refused(name, indices):
    with pytest.raises(ValueError, match=f"`{name}` must be indices from 0 to 7.*Received: {name}"):
        plot_pattern(SSCPattern(8, 8, g=4, p=3), **{name: indices})


def test_missing_matplotlib_names_the_extra(monkeypatch):
    real_import = builtins.__import__

    def without_matplotlib(name, *args, **kwargs):
        if name.startswith("matplotlib"):
            raise ModuleNotFoundError(f"No module named {name!r}")
        return real_import(name, *args, **kwargs)

    for name in [name for name in sys.modules if name.startswith("matplotlib")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", without_matplotlib)
    with pytest.raises(ImportError, match=r'pip install "keras-ssc\[plot\]"'):
        plot_pattern(SSCPattern(8, 8, g=4, p=3))
