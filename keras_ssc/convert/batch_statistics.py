"""BatchNormalization's statistics measured anew on images, all weights as they are."""

import contextlib

import keras
import numpy as np

from keras_ssc.arguments import integer
from keras_ssc.model_graph import flat_layers


def recalibrate(model, x, batch_size=128):
    """Measure the moving means and variances of a model anew; no weight is changed.

    A network made sparse from dense weights (`sparsify(..., from_dense=True)`), pruned or masked
    still has the dense network's statistics, with which its accuracy may be that of chance. Passes
    over `x` in training mode give every BatchNormalization the moments of all that it read,

        mean = sum_k n_k mean_k / n,    variance = sum_k n_k (variance_k + mean_k^2) / n - mean^2,

    over its calls k with n_k of n pixels each: exact, in whatever order the batches come. As in
    training, layers after others read what those normalise batch by batch.

    Args:
        model: built `keras.Model`, also with models inside it. BatchNormalization layers that are
            not trainable keep their statistics, as in training.
        x: images as the model takes them: array (images, height, width, channels); for several
            inputs a list or dict of arrays; or an iterable of batches, as a `tf.data.Dataset` or
            `keras.utils.PyDataset`, of which labels are left out. A thousand images often suffice.
        batch_size: int > 0, images of a pass, where `x` is not batched. As in training.

    Returns:
        None.

    Raises:
        TypeError: `model` is no keras.Model.
        ValueError: the model is not built, has no trainable BatchNormalization, or `x` no images.

    Example:

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.BatchNormalization()])
    >>> recalibrate(model, np.array([[0.0, 1.0], [4.0, 1.0]], "float32"))
    >>> [array.tolist() for array in model.get_weights()[2:]]
    [[2.0, 1.0], [4.0, 0.0]]

    Reference: Izmailov et al., "Averaging Weights Leads to Wider Optima and Better
    Generalization", section 3.2.
    """
    if not isinstance(model, keras.Model):
        raise TypeError(f"`model` must be a keras.Model. Received: {model!r}")
    integer("batch_size", batch_size, 1)
    layers = [one for one in flat_layers(model) if isinstance(one, keras.layers.BatchNormalization)]
    layers = [one for one in layers if one.trainable and one.built]
    if not model.built or not layers:
        raise ValueError(
            "`model` must be built and hold a trainable BatchNormalization. "
            f"Received: {model.name!r}"
        )
    sums = {id(layer): _Sums() for layer in layers}
    with _recording(model, layers, sums):
        for batch in _batches(x, batch_size):
            model(batch, training=True)
    if not any(one.count for one in sums.values()):
        raise ValueError(f"`x` must hold at least one batch of images. Received: x={x!r:.60}")
    for layer in layers:
        if sums[id(layer)].count:
            mean, variance = sums[id(layer)].moments()
            layer.moving_mean.assign(mean)
            layer.moving_variance.assign(variance)


class _Sums:
    """Sums over the calls of one layer, in float64."""

    def __init__(self):
        self.count, self.mean, self.square = 0, 0.0, 0.0

    def add(self, count, mean, variance):
        self.count += count
        self.mean = self.mean + count * mean
        self.square = self.square + count * (variance + mean**2)

    def moments(self):
        mean = self.mean / self.count
        return mean, np.maximum(self.square / self.count - mean**2, 0)


@contextlib.contextmanager
def _recording(model, layers, sums):
    """Let layers add the moments of each call to `sums`; afterwards all variables are as before."""
    trainable = {id(one) for one in model.trainable_variables}
    kept = [(one, np.array(keras.ops.convert_to_numpy(one))) for one in model.variables
            if id(one) not in trainable]  # fmt: skip
    momenta = [layer.momentum for layer in layers]
    try:
        for layer in layers:
            layer.momentum = 0.0  # the moving moments are those of the last call
            layer.call = _recorded(layer, sums[id(layer)])
        yield
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
            vars(layer).pop("call", None)
        for variable, value in kept:
            variable.assign(value)


def _recorded(layer, sums):
    """The `call` of a layer, which adds its moments to `sums`: a shared layer has several."""
    call = layer.call

    def record(inputs, *args, **kwargs):
        y = call(inputs, *args, **kwargs)
        moments = (layer.moving_mean, layer.moving_variance)
        mean, variance = (np.float64(keras.ops.convert_to_numpy(one)) for one in moments)
        sums.add(int(np.prod(inputs.shape)) // len(mean), mean, variance)
        return y

    return record


def _batches(x, batch_size):
    """Batches of inputs: of arrays, or of what yields batches itself."""
    if isinstance(x, (np.ndarray, list, dict)) or keras.ops.is_tensor(x):
        starts = range(0, len(keras.tree.flatten(x)[0]), batch_size)
        return (_slice(x, start, start + batch_size) for start in starts)
    if isinstance(x, keras.utils.PyDataset):
        x = map(x.__getitem__, range(len(x)))
    return (batch[0] if isinstance(batch, tuple) else batch for batch in x)


def _slice(x, start, stop):
    return keras.tree.map_structure(lambda array: array[start:stop], x)
