"""Networks of the package at half width: the same outputs, saved, reloaded, trained."""

import keras
import numpy as np
import pytest
from thin_models import clear, filters, images, outputs, with_random_weights

import keras_ssc
from keras_ssc.pruning.filter_norms import l1_filters
from keras_ssc.pruning.filters import remove_filters

NETWORKS = {
    "ResNet20": {"width": 8, "input_shape": (8, 8, 3)},
    "VGG11": {"input_shape": (16, 16, 3)},
    "MobileNetV2": {"input_shape": (8, 8, 3)},
}


@pytest.mark.parametrize(
    "name",
    ["ResNet20", *(pytest.param(one, marks=pytest.mark.campaign) for one in list(NETWORKS)[1:])],
)
def test_networks_at_half_width(name, tmp_path):
    model = getattr(keras_ssc.applications, name)(sparsity=0, **NETWORKS[name])
    with_random_weights(model)
    kept = l1_filters(model, 0.5)
    found = {layer.name: layer for layer in model.layers}
    for conv, indices in kept.items():
        gone = np.setdiff1d(np.arange(found[conv].filters), indices)
        for one in (conv, f"{conv}_bn", f"{conv.replace('_expand', '_depthwise')}_bn"):
            clear(found[one], gone)
    small = remove_filters(model, kept)
    halves = {conv: round(0.5 * count) for conv, count in filters(model).items()}
    assert filters(small) == halves
    assert small.output_shape == model.output_shape
    x, y = images(4, *NETWORKS[name]["input_shape"]), np.arange(4)
    expected = outputs(model, x)
    assert expected.std() > 1e-3
    np.testing.assert_allclose(outputs(small, x), expected, rtol=1e-3, atol=1e-5)

    small.save(tmp_path / "small.keras")
    again = keras.models.load_model(tmp_path / "small.keras")
    np.testing.assert_array_equal(outputs(again, x), outputs(small, x))
    again.compile(keras.optimizers.SGD(0.01), "sparse_categorical_crossentropy")
    before = again.get_weights()
    again.fit(x, y, verbose=0)
    assert all(np.isfinite(weight).all() for weight in again.get_weights())
    assert (again.get_weights()[0] != before[0]).any()
