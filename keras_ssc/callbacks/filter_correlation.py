"""Log how alike the filters of each layer are, while training."""

import keras

from keras_ssc.correlation import layer_correlations


class FilterCorrelation(keras.callbacks.Callback):
    """Put the filter correlation C_l of every convolution into the logs of each epoch.

    The entries are named `correlation/<layer name>`. List this callback before those that write
    the logs (CSVLogger, TensorBoard): callbacks run in the order of their list.

    Args:
        layers: list of layer names, or None for all Conv2D and SSCConv2D layers.

    Raises:
        ValueError: a name in `layers` is no convolution of the model.

    Example:

    >>> callback = FilterCorrelation(layers=["conv"])
    >>> model = keras.Sequential(
    ...     [keras.Input((6, 6, 2)), keras.layers.Conv2D(4, 3, name="conv"),
    ...      keras.layers.GlobalAveragePooling2D()])
    >>> model.compile("sgd", "mse")
    >>> x, y = keras.ops.ones((2, 6, 6, 2)), keras.ops.ones((2, 4))
    >>> "correlation/conv" in model.fit(x, y, callbacks=[callback], verbose=0).history
    True

    Reference: section 4.3, `keras_ssc.correlation.filter_correlation`.
    """

    def __init__(self, layers=None):
        super().__init__()
        self.layers = layers

    def on_epoch_end(self, epoch, logs=None):
        """Add C_l of each layer to `logs`."""
        if logs is not None:
            logs.update(self.correlations())

    def correlations(self):
        """Return {"correlation/<layer name>": C_l}, in the order of the model."""
        found = layer_correlations(self.model, self.layers)
        return {f"correlation/{name}": value for name, value in found.items()}
