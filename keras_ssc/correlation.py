"""How alike the filters of a layer are (section 4.3), by hand and while training."""

import keras
import numpy as np
from numpy.typing import ArrayLike

from keras_ssc.arguments import names
from keras_ssc.layers import SSCConv2D
from keras_ssc.model_graph import flat_layers


def filter_correlation(kernel: ArrayLike) -> float:
    """Return C_l, the mean absolute correlation between the filters of one layer.

    With f_i the entries of filter i, structural zeros included:

        rho_ij = cov(f_i, f_j) / sqrt(var(f_i) var(f_j)),    C_l = sum_ij |rho_ij| / N^2

    over all N^2 pairs, the diagonal included, so that C_l >= 1 / N; rho is 0 for a filter whose
    entries are all equal.

    Args:
        kernel: array (..., N), the filters along the last axis.

    Returns:
        float in [0, 1].

    Example:

    >>> round(filter_correlation(np.array([[1.0, -2.0], [0.0, 0.0], [-1.0, 2.0]])), 6)
    1.0

    Reference: section 4.3 of the paper, with the variance for sigma (as printed, the sum of the
    deviations, it would be zero).
    """
    filters = np.asarray(kernel, "float64")
    filters = filters.reshape(-1, filters.shape[-1])
    centred = filters - filters.mean(axis=0)
    length = np.sqrt((centred**2).sum(axis=0))
    # Rounding leaves a constant filter a length of about eps times its size.
    constant = length <= 1e-12 * np.sqrt((filters**2).sum(axis=0))
    unit = np.where(constant, 0.0, centred / np.where(constant, 1.0, length))
    return float(np.minimum(np.abs(unit.T @ unit), 1.0).mean())


def layer_correlations(model: keras.Model, layers: list[str] | None = None) -> dict[str, float]:
    """Return {layer name: C_l} of the convolutions of a model, in their order.

    Args:
        model: a built `keras.Model`; models inside it are looked into.
        layers: list of layer names, or None for all Conv2D and SSCConv2D layers.

    Raises:
        ValueError: a name in `layers` is no convolution of the model.

    Example:

    >>> model = keras.Sequential([keras.Input((6, 6, 2)), keras.layers.Conv2D(4, 3, name="conv")])
    >>> list(layer_correlations(model))
    ['conv']
    """
    found = {
        layer.name: layer
        for layer in flat_layers(model)
        if isinstance(layer, (keras.layers.Conv2D, SSCConv2D))
    }
    layers = list(found) if layers is None else names("layers", layers)
    unknown = set(layers) - set(found)
    if unknown:
        raise ValueError(
            f"`layers` must name convolutions of the model. Unknown: {sorted(unknown)}. "
            f"Received: layers={layers}"
        )
    return {
        name: filter_correlation(
            keras.ops.convert_to_numpy(keras.ops.cast(found[name].kernel, "float32"))
        )
        for name in layers
    }


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

    Reference: section 4.3 of the paper, as `filter_correlation`.
    """

    def __init__(self, layers: list[str] | None = None):
        super().__init__()
        self.layers = layers

    def on_epoch_end(self, epoch, logs=None):
        """Add C_l of each layer to `logs`."""
        if logs is not None:
            logs.update(self.correlations())

    def correlations(self) -> dict[str, float]:
        """Return {"correlation/<layer name>": C_l}, in the order of the model."""
        found = layer_correlations(self.model, self.layers)
        return {f"correlation/{name}": value for name, value in found.items()}
