"""A layer's Fisher information as a Kronecker product (K-FAC), and what removing a weight costs.

For one layer, a is what its kernel sees at one output position (with a 1 for the bias), s the sum
that it makes there, and g = d log p(label | image) / ds:

    F = A (x) G,   A = mean over images of sum_t a_t a_t',   G = mean of sum_t g_t g_t' / T

with T output positions; a Dense layer has T = 1. Convolutions in groups, and depthwise ones, are
as many layers side by side as they have groups: all arrays have a first axis for these.
"""

import keras
import numpy as np

from keras_ssc.layers import InterspaceConv2D
from keras_ssc.model_copy import copy_graph
from keras_ssc.pruning.differentiate import function_of_weights, gradients
from keras_ssc.pruning.log_probabilities import log_probabilities
from keras_ssc.pruning.masks import prunable_layers


def kronecker_saliencies(kernel, a, g, damping):
    """Return what removing each weight costs, by the Optimal Brain Surgeon's formula.

        w_ij^2 / (2 [A~^-1]_ii [G~^-1]_jj),   A~ = A + sqrt(damping) tr(A) / d_a I,   G~ alike

    Args:
        kernel: float array (groups, d_a, d_g).
        a: float array (groups, d_a, d_a), or with one more row and column, last, for the bias.
        g: float array (groups, d_g, d_g).
        damping: float >= 0, relative to the factors' mean eigenvalues.

    Example:

    >>> one = np.ones((1, 1, 1))
    >>> float(kronecker_saliencies(3 * one, 2 * one, one, 0.0)[0, 0, 0])
    9.0

    Reference: Hassibi and Stork, "Second order derivatives for network pruning: Optimal Brain
    Surgeon", 1993; Martens and Grosse, arXiv 1503.05671, section 6.3 (damping).
    """
    rows = _inverse_diagonal(a, damping)[:, : kernel.shape[1], None]
    return np.square(np.asarray(kernel, "float64")) / (
        2 * rows * _inverse_diagonal(g, damping)[:, None, :]
    )


def _inverse_diagonal(factor, damping):
    """(groups, d): the diagonal of the damped factor's inverse."""
    factor = np.asarray(factor, "float64")
    size = factor.shape[-1]
    mean = np.trace(factor, axis1=-2, axis2=-1) / size
    # A factor of zeros, such as that of a dead layer: any small number, nothing there matters.
    added = np.where(mean > 0, np.sqrt(damping) * mean, 1e-30)
    damped = factor + added[:, None, None] * np.eye(size)
    return np.diagonal(np.linalg.inv(damped), axis1=-2, axis2=-1)


def kronecker_factors(model, names, images, labels, *, from_logits=False, batch_size=100):
    """Return {layer name: (A, G)}, float64 arrays (groups, d, d).

    Args:
        model: a built functional or Sequential `keras.Model`; it is not touched.
        names: list of names of prunable layers.
        images: array (images, ...), as the model takes them.
        labels: list of pairs (int array (images,), weights (images,)): the labels whose gradients
            are taken, and how much they count.
        from_logits: bool, whether the model gives logits.
        batch_size: int, images at a time.

    Raises:
        ValueError: a layer is called more than once.

    Reference: Grosse and Martens, "A Kronecker-factored approximate Fisher matrix for convolution
    layers", arXiv 1602.01407.
    """
    batch_size = min(batch_size, len(images))
    copy, layers = _with_probes(model, names, batch_size)
    classes = model.output_shape[-1]

    def log_likelihood(model, images, one_hot):
        logs = log_probabilities(model(images, training=False), from_logits)
        return keras.ops.sum(logs * one_hot)

    probes = [layer.probe for layer in layers.values()]
    zeros = [keras.ops.zeros(probe.shape, probe.dtype) for probe in probes]
    slopes = gradients(function_of_weights(copy, probes, log_likelihood))
    factors = {name: [0.0, 0.0] for name in names}
    for first in range(0, len(images), batch_size):
        places = np.arange(first, first + batch_size)
        real = int((places < len(images)).sum())
        places = np.minimum(places, len(images) - 1)  # full batches: the rest counts nothing
        batch = images[places]
        for layer in layers.values():
            layer.calls = 0
        copy(batch, training=False)
        for name, layer in layers.items():
            if layer.calls != 1:
                raise ValueError(
                    "`model` must call every layer that is pruned once. "
                    f"Received: {name!r} is called {layer.calls} times"
                )
            a = _patches(layer, np.asarray(keras.ops.convert_to_numpy(layer.seen))[:real])
            factors[name][0] += np.swapaxes(a, -1, -2) @ a / len(images)
        for label, weight in labels:
            one_hot = np.eye(classes, dtype="float32")[np.asarray(label)[places]]
            for name, slope in zip(names, slopes(zeros, batch, one_hot), strict=True):
                g = _by_groups(layers[name], np.asarray(keras.ops.convert_to_numpy(slope))[:real])
                positions = g.shape[1] // real
                scale = np.repeat(np.asarray(weight)[places[:real]], positions)[None, :, None]
                share = scale / (positions * len(images))
                factors[name][1] += np.swapaxes(g, -1, -2) @ (g * share)
    return {name: tuple(pair) for name, pair in factors.items()}


class _Probed:
    """A layer that remembers what it reads, and adds zeros to its sums whose gradient is g."""

    def probe_with(self, batch_size, activation):
        """Say how many images come, and what follows the sums."""
        self.batch_size, self.after = batch_size, activation

    def build(self, input_shape):
        """Create the layer's variables and the zeros."""
        super().build(input_shape)
        shape = self.compute_output_shape(input_shape)[1:]
        self.probe = self.add_weight(
            shape=(self.batch_size, *shape), initializer="zeros", trainable=False, name="probe"
        )

    def call(self, inputs):
        """Compute what the layer computes."""
        self.calls = getattr(self, "calls", 0) + 1
        self.seen = inputs
        return self.after(super().call(inputs) + self.probe)


def _with_probes(model, names, batch_size):
    """(copy of the model, {name: probed layer of it})."""
    originals = {name: prunable_layers(model)[name] for name in names}

    def exchange(layer):
        if originals.get(layer.name) is not layer:
            return None
        kind = type("Probed", (_Probed, type(layer)), {})
        probed = kind.from_config(layer.get_config() | {"activation": None})
        probed.probe_with(batch_size, layer.activation)
        return probed

    copy, exchanged = copy_graph(model, exchange)
    for old, new in exchanged:
        values = {weight.name: weight for weight in old.weights}
        for weight in new.weights:
            if weight.name in values:
                weight.assign(np.array(values[weight.name]))
    probed = {old.name: new for old, new in exchanged}
    return copy, {name: probed[name] for name in names}


def _groups(layer):
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        return layer.kernel.shape[2]
    return getattr(layer, "groups", 1)


def kernel_by_groups(layer, kernel):
    """Return a kernel, shaped like the layer's, as (groups, d_a, d_g)."""
    groups = _groups(layer)
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        return kernel.reshape(-1, groups, kernel.shape[-1]).swapaxes(0, 1)
    return kernel.reshape(-1, groups, kernel.shape[-1] // groups).swapaxes(0, 1)


def kernel_from_groups(layer, matrices):
    """Return what `kernel_by_groups` was given."""
    return matrices.swapaxes(0, 1).reshape(layer.kernel.shape)


def _channels_last(layer, array):
    first = getattr(layer, "data_format", "channels_last") == "channels_first"
    return np.moveaxis(array, 1, -1) if first else array


def _by_groups(layer, array):
    """Sums of a layer as (groups, images and positions, filters)."""
    array = _channels_last(layer, array).astype("float64")
    groups = _groups(layer)
    return array.reshape(-1, groups, array.shape[-1] // groups).swapaxes(0, 1)


def _patches(layer, x):
    """What the kernel sees, (groups, images and positions, d_a), a 1 for the bias last."""
    x = _channels_last(layer, x)
    if isinstance(layer, keras.layers.Dense):
        seen = x.reshape(1, -1, x.shape[-1])
    else:
        patches = keras.ops.image.extract_patches(
            x,
            layer.kernel_size,
            layer.strides,
            layer.dilation_rate[0],
            layer.padding,
            data_format="channels_last",
        )
        patches = keras.ops.convert_to_numpy(patches)
        taps, groups = int(np.prod(layer.kernel_size)), _groups(layer)
        seen = patches.reshape(-1, taps, groups, x.shape[-1] // groups)
        if isinstance(layer, InterspaceConv2D):  # its weights are coefficients of basis filters
            basis = keras.ops.convert_to_numpy(layer.basis)
            seen = np.einsum("ik,tkgc->tigc", basis, seen)
        seen = np.moveaxis(seen, 2, 0).reshape(groups, len(seen), -1)
    seen = seen.astype("float64")
    if layer.use_bias:
        seen = np.concatenate([seen, np.ones((*seen.shape[:2], 1))], axis=-1)
    return seen
