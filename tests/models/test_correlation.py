"""Filter correlation against a slow reference, and in the logs of a training."""

import csv

import keras
import numpy as np
import pytest

import keras_ssc
from keras_ssc.correlation import filter_correlation

pytestmark = pytest.mark.jax


def reference(kernel):
    """One pair of filters at a time."""
    filters = kernel.reshape(-1, kernel.shape[-1]).astype("float64")
    size, count = filters.shape
    total = 0.0
    for i in range(count):
        for j in range(count):
            a, b = filters[:, i] - filters[:, i].mean(), filters[:, j] - filters[:, j].mean()
            covariance, variances = (a * b).sum() / size, (a * a).mean() * (b * b).mean()
            total += abs(covariance / variances**0.5) if variances > 0 else 0.0
    return total / count**2


@pytest.mark.parametrize("shape", [(3, 3, 8, 6), (1, 1, 4, 9), (5, 2)])
def test_equals_the_reference(shape):
    kernel = np.random.default_rng(0).normal(size=shape)
    assert filter_correlation(kernel) == pytest.approx(reference(kernel), abs=1e-12)


def test_sparse_kernel_and_constant_filters():
    random = np.random.default_rng(1)
    pattern = keras_ssc.SSCPattern(16, 16, 3, 8, 3)
    kernel = random.normal(size=(3, 3, 16, 16)) * pattern.mask()
    kernel[..., 3], kernel[..., 5] = 0.0, 0.125
    assert filter_correlation(kernel) == pytest.approx(reference(kernel), abs=1e-9)
    assert filter_correlation(np.zeros((3, 3, 2, 4))) == 0.0


def test_between_one_in_n_and_one():
    disjoint = np.eye(8) - 1 / 8
    assert filter_correlation(np.stack([np.arange(9.0)] * 5, axis=-1)) == pytest.approx(1.0)
    assert filter_correlation(disjoint) >= 1 / 8
    assert filter_correlation(np.random.default_rng(0).normal(size=(9999, 4))) < 0.27


def model():
    inner = keras.Sequential(
        [keras.Input((6, 6, 8)), keras_ssc.SSCConv2D(8, 3, g=4, p=2, name="sparse")], name="inner"
    )
    return keras.Sequential(
        [
            keras.Input((6, 6, 8)),
            inner,
            keras.layers.Conv2D(4, 3, name="dense"),
            keras.layers.GlobalAveragePooling2D(),
        ]
    )


def fit(callbacks):
    network = model()
    network.compile("sgd", "mse")
    x = np.random.default_rng(0).normal(size=(4, 6, 6, 8)).astype("float32")
    history = network.fit(x, x[:, 0, 0, :4], epochs=2, verbose=0, callbacks=callbacks).history
    return network, history


def test_logs_of_every_convolution(tmp_path):
    log = keras.callbacks.CSVLogger(tmp_path / "log.csv")
    network, history = fit([keras_ssc.callbacks.FilterCorrelation(), log])
    kernels = {
        "correlation/sparse": network.get_layer("inner").get_layer("sparse").kernel,
        "correlation/dense": network.get_layer("dense").kernel,
    }
    with open(tmp_path / "log.csv") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2
    for name, kernel in kernels.items():
        expected = reference(keras.ops.convert_to_numpy(kernel))
        assert history[name][-1] == pytest.approx(expected, rel=1e-5)
        assert float(rows[-1][name]) == pytest.approx(expected, rel=1e-5)


def test_tensorboard_sees_it(tmp_path):
    pytest.importorskip("tensorflow")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("TensorBoard's callback is tried with the TensorFlow backend")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    _, history = fit(
        [keras_ssc.callbacks.FilterCorrelation(), keras.callbacks.TensorBoard(tmp_path)]
    )
    events = EventAccumulator(str(tmp_path / "train"))
    events.Reload()
    assert "epoch_correlation/sparse" in events.Tags()["tensors"]
    last = make_ndarray(events.Tensors("epoch_correlation/sparse")[-1].tensor_proto)
    assert float(last) == pytest.approx(history["correlation/sparse"][-1], rel=1e-5)


def test_chosen_layers_only():
    _, history = fit([keras_ssc.callbacks.FilterCorrelation(layers=["dense"])])
    assert [name for name in history if name.startswith("correlation/")] == ["correlation/dense"]
    with pytest.raises(ValueError, match=r"`layers` must name convolutions.*\['dens'\]"):
        fit([keras_ssc.callbacks.FilterCorrelation(layers=["dens"])])
