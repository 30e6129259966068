"""The orders of channels that the GPU's kernels want."""

import keras
import numpy as np
import pytest

if keras.backend.backend() != "jax":
    pytest.skip("about JAX", allow_module_level=True)

from keras_ssc import SSCPattern
from keras_ssc.native.channel_order import Order
from keras_ssc.native.gpu import order

pytestmark = pytest.mark.jax


@pytest.mark.parametrize(
    ("g", "p", "pointwise"), [(8, 7, 2), (8, 7, 4), (8, 3, 8), (8, 4, 16), (4, 8, 8), (16, 5, 8)]
)
def test_bottleneck_blocks_permute_nothing(g, p, pointwise):
    """As in ResNet-50: each layer takes the order that it finds, and sums are of one order."""
    given = None
    for width, channels in ((64, 64), (64, 256), (128, 256), (128, 512)):
        layers = [(channels, width, 1, 0, pointwise), (width, width, 3, g, p)]
        x = given
        for layer in [*layers, (width, 4 * width, 1, 0, pointwise)]:
            inputs, outputs = order.orders(SSCPattern(*layer), x)
            assert x in (None, inputs)
            x = outputs
        if channels == 4 * width:
            assert x == given
        else:  # a shortcut
            inputs, outputs = order.orders(SSCPattern(channels, 4 * width, 1, 0, pointwise), given)
            assert given in (None, inputs)
            assert outputs == x
        given = x


def test_an_order_that_leaves_more_work_is_not_taken():
    pattern = SSCPattern(64, 64, 3, 8, 7)
    mixed = Order.of(np.random.default_rng(0).permutation(64))
    assert order.orders(pattern, mixed) == order.orders(pattern)


@pytest.mark.parametrize("p", [2, 3, 4, 7])
def test_orders_hold_each_channel_once_and_classes_together(p):
    pattern = SSCPattern(128, 256, 3, 8, p)
    inputs, outputs = (one.channels for one in order.orders(pattern))
    assert sorted(inputs) == list(range(128))
    assert sorted(outputs) == list(range(256))
    classes = (inputs % 8, pattern.shifts[outputs] % 8)
    for found in classes:
        assert np.count_nonzero(np.diff(found)) == 7
    assert np.count_nonzero(np.diff(pattern.parities[outputs])) == 15
