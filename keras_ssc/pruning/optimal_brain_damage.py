"""Optimal Brain Damage: remove the weights whose loss costs least, after training."""

import keras
import numpy as np

from keras_ssc.arguments import integer
from keras_ssc.pruning.budget import keep_largest, weights_to_keep
from keras_ssc.pruning.differentiate import function_of_weights, gradients
from keras_ssc.pruning.log_probabilities import log_probabilities
from keras_ssc.pruning.masks import prunable_layers


def obd(
    model,
    images,
    sparsity=None,
    *,
    keep=None,
    dense=(),
    from_logits=False,
    draws=1,
    seed=0,
):
    """Return masks that remove the weights of a trained model whose removal costs least.

        saliency = h * w^2 / 2,   h = mean over images of (d log p(label | image) / dw)^2

    h is the diagonal of the Fisher information, which stands for that of the Hessian. Labels are
    drawn from the model's own predictions, so none are needed. BatchNormalization works as for
    inference; all layers are ranked together. Usual are several cycles: prune, train further.

    One gradient is taken for each image and draw: some milliseconds each.

    Args:
        model: a trained `keras.Model` that gives class probabilities (or logits).
        images: array (images, ...), as the model takes them; some hundred do.
        sparsity: float in [0, 1), of the whole network, or
        keep: int, the live weights of the whole network.
        dense: names of layers that stay dense; they get no mask.
        from_logits: bool, whether the model gives logits.
        draws: int, labels drawn for each image; None: all classes, weighted by their probability,
            which is exact and takes as many gradients as there are classes.
        seed: int.

    Returns:
        dict, layer name -> bool array, for `apply_masks`.

    Raises:
        ValueError: see `weights_to_keep`; `draws` is below 1; a saliency is NaN.

    Example:

    >>> model = keras.Sequential([keras.Input((30,)), keras.layers.Dense(3, "softmax", name="a")])
    >>> masks = obd(model, np.ones((6, 30), "float32"), 0.9)
    >>> int(masks["a"].sum())
    9

    Reference: LeCun et al., "Optimal Brain Damage", 1989.
    """
    keep, names = weights_to_keep(model, sparsity, keep, dense)
    return keep_largest(obd_saliencies(model, names, images, from_logits, draws, seed), keep)


def obd_saliencies(model, names, images, from_logits=False, draws=1, seed=0):
    """Return {layer name: h w^2 / 2}.

    Args:
        model, images, from_logits, draws, seed: as for `obd`.
        names: list of layer names.
    """
    random = np.random.default_rng(integer("seed", seed, 0))
    logs = log_probabilities(model.predict(images, verbose=0), from_logits)
    probabilities = np.exp(keras.ops.convert_to_numpy(logs).astype("float64"))
    variables = [prunable_layers(model)[name].kernel for name in names]
    values = [keras.ops.convert_to_tensor(variable) for variable in variables]

    def log_likelihood(model, image, label):
        logs = log_probabilities(model(image, training=False), from_logits)
        return keras.ops.sum(logs * label)

    slope = gradients(function_of_weights(model, variables, log_likelihood))
    fisher = [np.zeros(value.shape) for value in values]
    for image, chances in zip(images, probabilities, strict=True):
        for label, weight in _labels(chances / chances.sum(), draws, random):
            one_hot = np.eye(1, len(chances), label, dtype="float32")
            for sum_, part in zip(fisher, slope(values, image[None], one_hot), strict=True):
                sum_ += weight / len(images) * np.square(keras.ops.convert_to_numpy(part))
    return {
        name: part * np.square(keras.ops.convert_to_numpy(value)) / 2
        for name, part, value in zip(names, fisher, values, strict=True)
    }


def _labels(chances, draws, random):
    """[(label, its weight)], drawn, or all."""
    if draws is None:
        return list(enumerate(chances))
    draws = integer("draws", draws, 1)
    return [(label, 1 / draws) for label in random.choice(len(chances), draws, p=chances)]
