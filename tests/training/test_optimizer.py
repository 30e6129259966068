"""SGD with the L2 penalty in its gradient, against its formula."""

import keras
import numpy as np
import pytest

from keras_ssc.training import CoupledSGD

SCHEDULE = keras.optimizers.schedules.PiecewiseConstantDecay([2], [0.1, 0.01])


def stepped(optimizer, variable, gradients):
    """The variable after each step."""
    after = []
    for gradient in gradients:
        optimizer.apply([keras.ops.convert_to_tensor(gradient.astype("float32"))], [variable])
        after.append(keras.ops.convert_to_numpy(variable))
    return after


def by_formula(theta, gradients, momentum, l2, nesterov):
    """The same in float64, as torch.optim.SGD's documentation writes it."""
    velocity, after = np.zeros_like(theta), []
    for step, gradient in enumerate(gradients):
        slope = gradient + l2 * theta
        velocity = momentum * velocity + slope
        rate = 0.1 if step <= 2 else 0.01
        theta = theta - rate * (slope + momentum * velocity if nesterov else velocity)
        after.append(theta)
    return after


@pytest.mark.parametrize(("momentum", "nesterov"), [(0.9, False), (0.9, True), (0.0, False)])
def test_optimizer_equals_the_formula(momentum, nesterov):
    random = np.random.default_rng(0)
    theta, gradients = random.normal(size=5), random.normal(size=(6, 5))
    optimizer = CoupledSGD(SCHEDULE, momentum=momentum, l2=0.05, nesterov=nesterov)
    found = stepped(optimizer, keras.Variable(theta.astype("float32")), gradients)
    wanted = by_formula(theta, gradients, momentum, 0.05, nesterov)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)


def test_it_is_kerass_until_the_rate_drops_and_then_slower():
    gradients = np.ones((6, 5))
    ours, kerass = (
        np.array(stepped(optimizer, keras.Variable(np.zeros(5, "float32")), gradients))[:, 0]
        for optimizer in (
            CoupledSGD(SCHEDULE, momentum=0.9),
            keras.optimizers.SGD(SCHEDULE, momentum=0.9),
        )
    )
    np.testing.assert_allclose(ours[:3], kerass[:3], rtol=1e-5)
    assert abs(ours[3] - ours[2]) < abs(kerass[3] - kerass[2]) / 5


@pytest.mark.parametrize("before", [2, 3, 5])  # 3: the rate drops with the next step
def test_a_file_with_kerass_velocity_is_converted(tmp_path, before):
    def model_with(optimizer):
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
        model.compile(optimizer, "mse")
        optimizer.build(model.trainable_variables)
        return model

    random = np.random.default_rng(1)
    gradients = [
        [random.normal(size=variable.shape).astype("float32") for variable in range_of]
        for range_of in [model_with(CoupledSGD(SCHEDULE)).trainable_variables] * 8
    ]

    def run(model, first, last):
        for step in gradients[first:last]:
            step = [keras.ops.convert_to_tensor(one) for one in step]
            model.optimizer.apply(step, model.trainable_variables)
        return [keras.ops.convert_to_numpy(one) for one in model.trainable_variables]

    old = model_with(keras.optimizers.SGD(SCHEDULE, momentum=0.9))  # what it was before
    run(old, 0, before)
    old.save_weights(tmp_path / "old.weights.h5")
    old.save(tmp_path / "old.keras")
    through = run(model_with(CoupledSGD(SCHEDULE, momentum=0.9)), 0, 8)
    for name in ("old.weights.h5", "old.keras"):
        new = model_with(CoupledSGD(SCHEDULE, momentum=0.9))
        new.load_weights(tmp_path / name)
        if before <= 3:  # later Keras's v itself is another
            for one, other in zip(run(new, before, 8), through, strict=True):
                np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
        new.save(tmp_path / "new.keras")
        again = keras.saving.load_model(tmp_path / "new.keras")
        for one, other in zip(new.optimizer.variables, again.optimizer.variables, strict=True):
            np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, (one, other)))


def test_optimizer_round_trip_and_bad_l2():
    config = keras.optimizers.serialize(CoupledSGD(0.1, momentum=0.8, l2=0.01))
    again = keras.optimizers.deserialize(config)
    assert (again.l2, again.momentum) == (0.01, 0.8)
    for bad in (-1.0, float("nan")):
        with pytest.raises(ValueError, match="`l2`"):
            CoupledSGD(l2=bad)
