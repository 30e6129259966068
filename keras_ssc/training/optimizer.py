"""SGD as the recipe means it: L2 that goes through the momentum."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_ssc")
class CoupledSGD(keras.optimizers.SGD):
    """Stochastic gradient descent with momentum and coupled L2.

        v <- momentum * v - learning_rate * (gradient + l2 * theta)
        theta <- theta + v

    The L2 term goes through the momentum and acts on every trainable variable, biases and
    BatchNormalization included, as PyTorch's `weight_decay` does; Keras's argument of that name is
    decoupled. (PyTorch keeps the learning rate outside v. The two agree while it is constant and
    differ for some steps after a drop.)

    Args:
        learning_rate: float or learning-rate schedule.
        momentum: float in [0, 1].
        l2: float >= 0.
        **kwargs: further arguments of `keras.optimizers.SGD`, such as clipnorm.

    Raises:
        ValueError: `l2` is negative or not a number.

    Example:

    >>> CoupledSGD(0.1, momentum=0.9, l2=1e-4).l2
    0.0001

    Reference: GraSP's recipe (paper, section 4).
    """

    def __init__(self, learning_rate=0.1, momentum=0.9, l2=0.0, name="coupled_sgd", **kwargs):
        super().__init__(learning_rate, momentum=momentum, name=name, **kwargs)
        if not l2 >= 0:
            raise ValueError(f"`l2` must be at least 0. Received: l2={l2}")
        self.l2 = float(l2)

    def update_step(self, gradient, variable, learning_rate):
        """Update one variable."""
        decay = ops.multiply(ops.cast(self.l2, variable.dtype), variable)
        gradient = ops.add(ops.cast(gradient, variable.dtype), decay)
        super().update_step(gradient, variable, learning_rate)

    def get_config(self):
        """Return the arguments."""
        return {**super().get_config(), "l2": self.l2}
