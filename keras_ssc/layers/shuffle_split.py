"""ShuffleNet's channel shuffle."""

import keras


@keras.saving.register_keras_serializable(package="keras_ssc")
class ShuffleSplit(keras.layers.Layer):
    """Interleave the two halves of the channels, then give the first and the second half.

    Channels a b c d e f g h become a e b f and c g d h.

    Args:
        data_format: `"channels_last"` or `"channels_first"`.
        **kwargs: name, dtype.

    Example:

    >>> import numpy as np
    >>> first, second = ShuffleSplit("channels_last")(np.arange(8.0).reshape(1, 1, 1, 8))
    >>> np.array(first).ravel().tolist(), np.array(second).ravel().tolist()
    ([0.0, 4.0, 1.0, 5.0], [2.0, 6.0, 3.0, 7.0])
    """

    def __init__(self, data_format, **kwargs):
        super().__init__(**kwargs)
        self.data_format = data_format
        self.axis = 3 if data_format == "channels_last" else 1

    def call(self, x):
        """Return the two halves."""
        sizes = list(keras.ops.shape(x))
        channels = x.shape[self.axis]
        halves = [*sizes[: self.axis], 2, channels // 2, *sizes[self.axis + 1 :]]
        x = keras.ops.swapaxes(keras.ops.reshape(x, halves), self.axis, self.axis + 1)
        x = keras.ops.reshape(x, sizes)
        return tuple(keras.ops.split(x, 2, axis=self.axis))

    def compute_output_shape(self, input_shape):
        """Return the shapes of the two halves."""
        half = list(input_shape)
        half[self.axis] //= 2
        return (tuple(half), tuple(half))

    def get_config(self):
        """Return the arguments."""
        return {**super().get_config(), "data_format": self.data_format}
