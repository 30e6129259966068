"""SGD whose velocity holds the learning rate: how the first records were made."""

import keras
from keras import ops


class KerasCoupledSGD(keras.optimizers.SGD):
    """Stochastic gradient descent with momentum as in Keras, and coupled L2.

        v <- momentum * v - learning_rate * (gradient + l2 * theta)
        theta <- theta + v

    Args:
        learning_rate: float or learning-rate schedule.
        momentum: float in [0, 1].
        l2: float >= 0.

    Example:

    >>> KerasCoupledSGD(0.1, momentum=0.9, l2=1e-4).l2
    0.0001
    """

    def __init__(self, learning_rate=0.1, momentum=0.9, l2=0.0):
        super().__init__(learning_rate, momentum=momentum, name="keras_coupled_sgd")
        self.l2 = float(l2)

    def update_step(self, gradient, variable, learning_rate):
        """Update one variable."""
        decay = ops.multiply(ops.cast(self.l2, variable.dtype), variable)
        gradient = ops.add(ops.cast(gradient, variable.dtype), decay)
        super().update_step(gradient, variable, learning_rate)
