"""SGD whose velocity holds the learning rate: how the first records were made."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_ssc_paper")
class KerasCoupledSGD(keras.optimizers.SGD):
    """Stochastic gradient descent with momentum as in Keras, and coupled L2.

        v <- momentum * v - learning_rate * (gradient + l2 * theta)
        theta <- theta + v

    Args:
        learning_rate: float or learning-rate schedule.
        momentum: float in [0, 1].
        l2: float >= 0.
        **kwargs: further arguments of `keras.optimizers.SGD`.

    Example:

    >>> KerasCoupledSGD(0.1, momentum=0.9, l2=1e-4).l2
    0.0001
    """

    def __init__(self, learning_rate=0.1, momentum=0.9, l2=0.0, **kwargs):
        super().__init__(learning_rate, momentum=momentum, **kwargs)
        self.l2 = float(l2)

    def update_step(self, gradient, variable, learning_rate):
        """Update one variable."""
        decay = ops.multiply(ops.cast(self.l2, variable.dtype), variable)
        gradient = ops.add(ops.cast(gradient, variable.dtype), decay)
        super().update_step(gradient, variable, learning_rate)

    def get_config(self):
        """Return the arguments."""
        return {**super().get_config(), "l2": self.l2}
