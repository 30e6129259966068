"""The pictures of a model show the numbers of summary and correlation."""

import keras
import matplotlib.pyplot as plt
import pytest

import keras_ssc
from keras_ssc.correlation import layer_correlations

layers = keras.layers


@pytest.fixture
def model():
    return keras.Sequential([
        keras.Input((8, 8, 3)),
        layers.Conv2D(16, 3, name="first"),
        keras_ssc.SSCConv2D(16, 3, g=8, p=3, name="second"),
        layers.GlobalAveragePooling2D(),
        layers.Dense(4, name="logits"),
    ], name="mine")  # fmt: skip


def test_bars_are_the_weights_and_sparsities(model):
    figure = keras_ssc.plot_model_sparsity(model)
    weights, sparsity = figure.axes
    names = [label.get_text() for label in weights.get_yticklabels()]
    assert names == ["first", "second", "logits"]
    live = keras_ssc.SSCPattern(16, 16, 3, 8, 3).weight_count
    widths = [[bar.get_width() for bar in bars] for bars in weights.containers]
    assert widths == [[432, 2304, 64], [432, live, 64]]
    (bars,) = sparsity.containers
    assert [bar.get_width() for bar in bars] == [0, 1 - live / 2304, 0]
    assert weights.get_ylim()[0] > weights.get_ylim()[1]  # the first layer is on top
    assert "mine: 704 of 2,800 weights are live" in figure.get_suptitle()
    assert "0.749" in figure.get_suptitle()


def test_lines_are_the_correlations(model):
    curves = {"sparse": model, "dense": keras_ssc.densify(model)}
    figure = keras_ssc.plot_correlation(curves)
    (axes,) = figure.axes
    assert [line.get_label() for line in axes.lines] == ["sparse", "dense"]
    for line, one in zip(axes.lines, curves.values(), strict=True):
        assert list(line.get_xdata()) == [1, 2]
        assert list(line.get_ydata()) == list(layer_correlations(one).values())
    (line,) = keras_ssc.plot_correlation(model).axes[0].lines
    assert line.get_label() == "mine"


@pytest.mark.parametrize("draw", [keras_ssc.plot_model_sparsity, keras_ssc.plot_correlation])
def test_pictures_are_written_and_no_figure_stays_open(draw, model, tmp_path):
    draw(model, tmp_path / "picture.png")
    image = plt.imread(tmp_path / "picture.png")
    assert image.shape[0] > 100
    assert image.std() > 0.05
    assert plt.get_fignums() == []


def test_nothing_to_draw():
    empty = keras.Sequential([keras.Input((4,)), layers.ReLU()], name="empty")
    with pytest.raises(ValueError, match=r"a convolution or a Dense layer.*'empty'"):
        keras_ssc.plot_model_sparsity(empty)
    with pytest.raises(ValueError, match=r"equally many convolutions.*\{'empty': 0\}"):
        keras_ssc.plot_correlation(empty)


def test_models_to_compare_must_match(model):
    other = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(4, 3)])
    with pytest.raises(ValueError, match=r"Received: \{'a': 2, 'b': 1\}"):
        keras_ssc.plot_correlation({"a": model, "b": other})
