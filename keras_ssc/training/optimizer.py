"""SGD as the recipe means it: L2 that goes through the momentum."""

import keras
import numpy as np
from keras import ops

_RATE_APART = "rate_apart"  # beside the variables of a saved optimizer


@keras.saving.register_keras_serializable(package="keras_ssc")
class CoupledSGD(keras.optimizers.SGD):
    """Stochastic gradient descent with momentum and coupled L2.

        v <- momentum * v + gradient + l2 * theta
        theta <- theta - learning_rate * v

    As PyTorch's SGD: the learning rate is no part of v, so a drop of the rate acts on the next
    step. Keras's own SGD keeps the rate in v; after a drop to a tenth it goes on for some ten steps
    at the old rate, along a direction that the gradient does not correct any more, which costs
    short trainings much of an epoch. L2 acts on every trainable variable, biases and
    BatchNormalization included, and through the momentum, as PyTorch's `weight_decay` does;
    Keras's argument of that name is decoupled.

    A file that was saved when this class still kept v as Keras does is converted as it is read.

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
        rate = ops.cast(learning_rate, variable.dtype)
        decay = ops.multiply(ops.cast(self.l2, variable.dtype), variable)
        step = ops.add(ops.cast(gradient, variable.dtype), decay)
        if self.momentum:
            velocity = self.momentums[self._get_variable_index(variable)]
            slope, factor = step, ops.cast(self.momentum, variable.dtype)
            step = ops.add(ops.multiply(velocity, factor), slope)
            self.assign(velocity, step)
            if self.nesterov:
                step = ops.add(ops.multiply(step, factor), slope)
        self.assign_sub(variable, ops.multiply(rate, step))

    def save_own_variables(self, store):
        """Write the variables, and that the learning rate is no part of v."""
        super().save_own_variables(store)
        store[_RATE_APART] = np.array(True)

    def load_own_variables(self, store):
        """Read the variables; where v is Keras's, -learning_rate times ours, it is converted."""
        names = set(store.keys())
        super().load_own_variables({name: store[name] for name in names - {_RATE_APART}})
        if _RATE_APART in names or not self.built or not self.momentum:
            return
        steps = int(self.iterations)
        self.iterations.assign(max(steps - 1, 0))
        rate = float(self.learning_rate)  # of the last step that was made
        self.iterations.assign(steps)
        for velocity in self.momentums:
            velocity.assign(velocity / -rate if rate else ops.zeros_like(velocity))

    def get_config(self):
        """Return the arguments."""
        return {**super().get_config(), "l2": self.l2}
