"""Regularizers that push the filters of a layer towards orthogonality."""

import math

import keras
from keras import ops

from keras_ssc.arguments import number


@keras.saving.register_keras_serializable(package="keras_ssc")
class SoftOrthogonality(keras.regularizers.Regularizer):
    """Soft orthogonality (SO): the filters of a layer should be orthonormal.

        L = factor * ||W'W - I_N||_F^2

    W is the kernel as a matrix (J, N), one filter a column, J = K^2 M. It takes any kernel with
    the filters along its last axis, as `kernel_regularizer` of Conv2D or Dense. Of `SSCConv2D`
    it sees the dense kernel, zeros included: the columns of its compact matrices are filters on
    different channels, and their products would mean nothing.

    Args:
        factor: float >= 0. The paper does not give its own.

    Raises:
        ValueError: `factor` is negative or not a number.

    Example:

    >>> kernel = np.array([[1.0, 0.0], [1.0, 1.0]], "float32")  # W'W = [[2, 1], [1, 1]]
    >>> float(SoftOrthogonality(0.5)(kernel))
    1.5
    >>> layer = keras_ssc.SSCConv2D(16, 3, g=4, p=3, kernel_regularizer=SoftOrthogonality(1e-3))

    Reference: equation 14 of the paper; Bansal, Chen and Wang, "Can We Gain More from
    Orthogonality Regularizations in Training Deep CNNs?", 2018.
    """

    whole_kernel = True  # SSCConv2D asks for it

    def __init__(self, factor: float):
        self.factor = number("factor", factor, 0)

    def __call__(self, x):
        """Return the penalty of a kernel (..., N), a scalar."""
        return ops.multiply(self.factor, _distance_from_identity(x))

    def get_config(self):
        """Return the arguments."""
        return {"factor": self.factor}


@keras.saving.register_keras_serializable(package="keras_ssc")
class DoubleSoftOrthogonality(SoftOrthogonality):
    """Double soft orthogonality (DSO): orthonormal columns and rows.

        L = factor * (||W'W - I_N||_F^2 + ||WW' - I_J||_F^2)
          = factor * (2 ||W'W - I_N||_F^2 + J - N)

    The two Gram matrices have equal norms and equal traces, so the second line is exact, for more
    filters than entries too, and needs the N x N matrix only. The gradient is that of
    `SoftOrthogonality` with twice the factor. Otherwise as `SoftOrthogonality`.

    Args:
        factor: float >= 0. The paper does not give its own.

    Raises:
        ValueError: `factor` is negative or not a number.

    Example:

    >>> kernel = np.array([[1.0, 0.0], [1.0, 1.0]], "float32")
    >>> float(DoubleSoftOrthogonality(0.5)(kernel))
    3.0

    Reference: equation 15 of the paper; Bansal et al., 2018.
    """

    def __call__(self, x):
        """Return the penalty of a kernel (..., N), a scalar."""
        entries, filters = math.prod(x.shape[:-1]), x.shape[-1]
        penalty = ops.add(ops.multiply(2.0, _distance_from_identity(x)), entries - filters)
        return ops.multiply(self.factor, penalty)


def _distance_from_identity(kernel):
    """||W'W - I||^2, from the N x N matrix."""
    columns = ops.reshape(ops.convert_to_tensor(kernel), (-1, kernel.shape[-1]))
    gram = ops.matmul(ops.transpose(columns), columns)
    return ops.sum(ops.square(ops.subtract(gram, ops.eye(kernel.shape[-1], dtype=gram.dtype))))
