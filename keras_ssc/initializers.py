"""Initial weights of sparse kernels: drawn for the dense shape, then the live ones kept."""

import math

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_ssc")
class DenseScale(keras.initializers.Initializer):
    """Keep the dense layer's scale of initial weights in a sparse layer.

    `SSCConv2D` divides VarianceScaling initializers by sqrt(density), the fan that is really
    there. Wrapped in `DenseScale` the initializer is used as it is: std = sqrt(scale / dense fan).

    Args:
        initializer: a Keras initializer or its name.

    Example:

    >>> layer = keras_ssc.SSCConv2D(8, 3, kernel_initializer=DenseScale("he_normal"))

    Reference: GraSP's code, whose sparse networks keep the dense scale.
    """

    def __init__(self, initializer: str | dict | keras.initializers.Initializer):
        self.initializer = keras.initializers.get(initializer)

    def __call__(self, shape, dtype=None):
        """Return values of `shape`."""
        return self.initializer(shape, dtype=dtype)

    def get_config(self):
        """Return the arguments."""
        return {"initializer": keras.initializers.serialize(self.initializer)}

    @classmethod
    def from_config(cls, config):
        """Return the initializer that `config` describes."""
        return cls(keras.initializers.deserialize(config["initializer"]))


def live_initializer(initializer, pattern, positions, filters):
    """Return an initializer for one compact matrix (positions, filters) of a pattern.

    Args:
        initializer: a Keras initializer or None; called on the dense shape (K, K, M, N).
        pattern: SSCPattern.
        positions: int array (positions, 3), one of `pattern.matrices`.
        filters: int array (filters,).
    """
    initializer = initializer or keras.initializers.GlorotUniform()  # Keras's own for None
    scaling = isinstance(initializer, keras.initializers.VarianceScaling)
    scale = 1 / math.sqrt(pattern.density) if scaling else 1.0
    dense_shape = (*pattern.kernel_size, pattern.in_channels, pattern.filters)
    flat = pattern.flat_indices(positions, filters).reshape(-1).astype("int32")

    def initialize(shape, dtype=None):
        dense = ops.reshape(initializer(dense_shape, dtype=dtype), (-1,))
        return ops.reshape(ops.take(dense, flat), shape) * ops.cast(scale, dense.dtype)

    return initialize
