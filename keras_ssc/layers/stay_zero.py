"""What keeps the dead entries of a masked kernel exactly zero while it trains.

Zero weight, zero gradient, zero slots: an optimizer that treats each entry by itself leaves such an
entry at zero, and so does every average of it. The gradient is zero because layer and regularizer
read the kernel through its mask. Optimizers that mix the entries of a matrix are refused by name.
"""

import re
import sys

import keras
from keras import ops

# Rows and columns without gradient make Adafactor divide epsilon_1^2 by the mean square of the
# gradient: from here on that is no float32 zero while the gradient's size is below 9,000.
SMALLEST_EPSILON = 1e-15


def live_entries(kernel, mask):
    """Return the kernel with exact zeros where the mask is False.

    Example:

    >>> live_entries(np.array([1.0, 2.0]), np.array([True, False])).numpy().tolist()
    [1.0, 0.0]
    """
    kernel = ops.convert_to_tensor(kernel)
    return ops.where(ops.convert_to_tensor(mask), kernel, ops.zeros_like(kernel))


class LiveRegularizer(keras.regularizers.Regularizer):
    """A regularizer of the live entries only; never saved, the layer makes it.

    Live entries that are exactly 0, as those just born, get no gradient of it either: that of
    Keras's OrthogonalRegularizer by a row of zeros is NaN on JAX.

    Args:
        regularizer: that of the user.
        mask: `keras.Variable`, bool.
    """

    def __init__(self, regularizer, mask):
        self.regularizer, self.mask = regularizer, mask

    def __call__(self, kernel):
        kernel = live_entries(kernel, self.mask)
        return self.regularizer(live_entries(kernel, ops.not_equal(kernel, 0)))


class LiveConstraint(keras.constraints.Constraint):
    """The user's constraint, after which zeros are zeros; never saved, the layer makes it.

    Args:
        constraint: that of the user, or None.
        mask: `keras.Variable`, bool.
    """

    def __init__(self, constraint, mask):
        self.constraint, self.mask = constraint, mask

    def __call__(self, kernel):
        after = kernel if self.constraint is None else self.constraint(kernel)
        if keras.backend.backend() != "jax":
            return live_entries(after, self.mask)
        # The step that JAX compiles has no way to read the mask here, but what is dead is zero.
        return after if self.constraint is None else live_entries(after, ops.not_equal(kernel, 0))


class MaskedKernel(keras.Variable):
    """A variable that refuses optimizers which would move dead entries, or make them NaN.

    Keras tells no layer about the optimizer, and calls nothing of ours in `compile`. But an
    optimizer asks each variable for this property when it is built, and again before each step.
    """

    @keras.Variable.overwrite_with_gradient.getter
    def overwrite_with_gradient(self):
        """As in Keras: False."""
        check_optimizer(_calling_optimizer(), self)
        return super().overwrite_with_gradient


def check_optimizer(optimizer, kernel):
    """Refuse an optimizer that would move the dead entries of a masked kernel, or make it NaN.

    Args:
        optimizer: `keras.optimizers.Optimizer` or None; one that holds others is of no concern.
        kernel: `keras.Variable`.

    Raises:
        ValueError: Adafactor with a tiny epsilon_1; Muon, if it takes the kernel for a matrix.

    Example:

    >>> layer = keras_ssc.layers.MaskedDense(4, name="one")
    >>> layer.build((None, 3))
    >>> check_optimizer(keras.optimizers.Adam(), layer.kernel)
    """
    if isinstance(optimizer, keras.optimizers.Adafactor):
        if optimizer.epsilon_1 < SMALLEST_EPSILON:
            raise ValueError(
                "`optimizer` must be Adafactor(epsilon_1=1e-15), or another: a smaller epsilon_1 "
                "makes kernels NaN that have rows and columns without live weights. Received: "
                f"epsilon_1={optimizer.epsilon_1} for the masked {kernel.path!r}"
            )
    elif isinstance(optimizer, keras.optimizers.Muon) and _is_matrix(optimizer, kernel):
        name = kernel.path.split("/")[-2:][0]
        raise ValueError(
            "`optimizer` must leave masked Dense layers to AdamW: Muon's step for matrices mixes "
            f"live and pruned weights. Name them all, as in Muon(exclude_layers=[{name!r}]). "
            f"Received: Muon for the masked {kernel.path!r}"
        )


def _is_matrix(muon, kernel):
    """Whether Muon takes its step for matrices, as its arguments are documented."""
    words = [*muon.exclude_layers, *(["embedding"] if muon.exclude_embeddings else [])]
    return len(kernel.shape) == 2 and not any(re.search(word, kernel.path) for word in words)


def _calling_optimizer():
    """Return the optimizer among the callers; None while a model is loaded or copied with it."""
    found, frame = None, sys._getframe(1)
    while frame is not None:
        caller = frame.f_locals.get("self")
        if found is None and isinstance(caller, keras.optimizers.Optimizer):
            found = caller
        if frame.f_code.co_name == "compile_from_config":
            return None
        frame = frame.f_back
    return found
