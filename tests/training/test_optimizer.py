"""SGD with the L2 penalty in its gradient, against its formula."""

import keras
import numpy as np
import pytest

from keras_ssc.training import CoupledSGD


def test_optimizer_equals_the_formula():
    random = np.random.default_rng(0)
    theta, gradients = random.normal(size=5), random.normal(size=(6, 5))
    variable = keras.Variable(theta.astype("float32"))
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay([2], [0.1, 0.01])
    optimizer = CoupledSGD(schedule, momentum=0.9, l2=0.05)
    velocity = np.zeros(5)
    for step, gradient in enumerate(gradients):
        optimizer.apply([keras.ops.convert_to_tensor(gradient.astype("float32"))], [variable])
        rate = 0.1 if step <= 2 else 0.01
        velocity = 0.9 * velocity - rate * (gradient + 0.05 * theta)
        theta = theta + velocity
        np.testing.assert_allclose(keras.ops.convert_to_numpy(variable), theta, rtol=1e-4)


def test_optimizer_round_trip_and_bad_l2():
    config = keras.optimizers.serialize(CoupledSGD(0.1, momentum=0.8, l2=0.01))
    again = keras.optimizers.deserialize(config)
    assert (again.l2, again.momentum) == (0.01, 0.8)
    for bad in (-1.0, float("nan")):
        with pytest.raises(ValueError, match="`l2`"):
            CoupledSGD(l2=bad)
