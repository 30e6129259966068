"""Section 2.2 of the paper: SSC holds group-wise, depthwise and point-wise convolution."""

import keras
import numpy as np
import pytest
from test_execution import set_kernel

from keras_ssc import SSCConv2D

pytestmark = pytest.mark.backends


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def numpy(tensor):
    return keras.ops.convert_to_numpy(tensor)


@pytest.mark.parametrize("execution", ["dense", "grouped"])
def test_group_wise(execution):
    # Filter n reads the channels n mod g: Keras's groups, after sorting both by residue class.
    g, M, N = 4, 8, 12
    x, kernel = random(2, 7, 7, M), random(3, 3, M // g, N)
    keras_layer = keras.layers.Conv2D(N, 3, groups=g, padding="same", use_bias=False)
    keras_layer.build((None, 7, 7, M))
    keras_layer.set_weights([kernel])
    by_class = [c + g * k for c in range(g) for k in range(M // g)]
    filters_by_class = [c + g * k for c in range(g) for k in range(N // g)]

    ours = SSCConv2D(
        N, 3, padding="same", use_bias=False, g=g, p=0, dense_taps=True, execution=execution
    )
    ours.build((None, 7, 7, M))
    dense = np.zeros((3, 3, M, N), "float32")
    for position, n in enumerate(filters_by_class):
        for k in range(M // g):
            dense[:, :, n % g + g * k, n] = kernel[:, :, k, position]
    set_kernel(ours, dense)
    expected = numpy(keras_layer(x[..., by_class]))
    np.testing.assert_allclose(numpy(ours(x))[..., filters_by_class], expected, atol=1e-5)
    assert ours.count_params() == keras_layer.count_params()


@pytest.mark.parametrize("execution", ["dense", "grouped"])
@pytest.mark.parametrize("multiplier", [1, 3])
def test_depthwise(multiplier, execution):
    # The block shift orders the filters as Keras does: 0, 0, 1, 1, ...
    M = 5
    x, kernel = random(2, 7, 7, M), random(3, 3, M, multiplier)
    keras_layer = keras.layers.DepthwiseConv2D(
        3, depth_multiplier=multiplier, padding="same", use_bias=False
    )
    keras_layer.build((None, 7, 7, M))
    keras_layer.set_weights([kernel])
    ours = SSCConv2D(
        M * multiplier, 3, padding="same", use_bias=False, g=M, p=0, dense_taps=True,
        shift="block", execution=execution,
    )  # fmt: skip
    ours.build((None, 7, 7, M))
    dense = np.zeros((3, 3, M, M * multiplier), "float32")
    for channel in range(M):
        for copy in range(multiplier):
            dense[:, :, channel, channel * multiplier + copy] = kernel[:, :, channel, copy]
    set_kernel(ours, dense)
    np.testing.assert_allclose(numpy(ours(x)), numpy(keras_layer(x)), atol=1e-5)
    assert ours.count_params() == keras_layer.count_params()


def test_point_wise():
    x, kernel = random(2, 6, 6, 8), random(1, 1, 8, 5)
    keras_layer = keras.layers.Conv2D(5, 1, strides=2, use_bias=False)
    keras_layer.build((None, 6, 6, 8))
    keras_layer.set_weights([kernel])
    ours = SSCConv2D(5, 1, strides=2, use_bias=False, g=0, p=1)
    ours.build((None, 6, 6, 8))
    set_kernel(ours, kernel)
    np.testing.assert_allclose(numpy(ours(x)), numpy(keras_layer(x)), atol=1e-5)
    assert ours.count_params() == keras_layer.count_params()


@pytest.mark.parametrize(("g", "p"), [(4, 1), (8, 1)])
@pytest.mark.parametrize("dense_taps", [False, True])
def test_group_or_depthwise_and_point_wise_in_one_layer(g, p, dense_taps):
    # Section 2.3: N ((K^2 - c) M / g + M (1 - 1/g)) weights, every channel read by every filter.
    M = N = 8
    layer = SSCConv2D(N, 3, use_bias=False, g=g, p=p, dense_taps=dense_taps)
    layer.build((None, 7, 7, M))
    taps = 9 if dense_taps else 4.5
    assert layer.count_params() == N * (taps * M / g + M - M / g)
    assert layer.pattern.mask().any((0, 1)).all()
