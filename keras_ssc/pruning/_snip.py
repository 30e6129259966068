"""SNIP: keep the weights on which the loss depends most, before training."""

import keras
import numpy as np

from keras_ssc.pruning.budget import keep_largest, weights_to_keep
from keras_ssc.pruning.differentiate import function_of_weights, gradients
from keras_ssc.pruning.masks import prunable_layers
from keras_ssc.pruning.samples import mean_over_batches


def snip(
    model,
    images,
    labels,
    sparsity=None,
    *,
    keep=None,
    dense=(),
    loss="sparse_categorical_crossentropy",
    batch_size=None,
):
    """Return masks of the weights whose removal would change the loss most, to first order.

        score = |w * dL/dw|

    that is |dL/dm| for a mask m that multiplies w, at m = 1. BatchNormalization works in training
    mode; the gradient is that of the mean loss over all images. All layers are ranked together.
    Usual are the untrained model, and 10 images of each class (`samples_per_class`).

    IP-SNIP: `apply_masks(model, masks, interspace=True)`. At the start the basis is the standard
    basis, so the scores of the coefficients are those of the kernel.

    Args:
        model: a built `keras.Model`.
        images: array (images, ...), as the model takes them.
        labels: array (images, ...), as `loss` takes them.
        sparsity: float in [0, 1), of the whole network, or
        keep: int, the live weights of the whole network.
        dense: names of layers that stay dense; they get no mask.
        loss: a Keras loss, its name, or function (labels, outputs) -> losses.
        batch_size: int, images at once; None: all.

    Returns:
        dict, layer name -> bool array, for `apply_masks`.

    Raises:
        ValueError: see `weights_to_keep`; images and labels are not as many; a gradient is NaN.

    Example:

    >>> model = keras.Sequential([keras.Input((30,)), keras.layers.Dense(3, "softmax", name="a")])
    >>> masks = snip(model, np.ones((6, 30), "float32"), np.arange(6) % 3, 0.9)
    >>> int(masks["a"].sum())
    9

    Reference: Lee et al., "SNIP", arXiv 1810.02340; Interspace: Wimmer et al., arXiv 2203.07808.
    """
    keep, names = weights_to_keep(model, sparsity, keep, dense)
    return keep_largest(snip_scores(model, names, images, labels, loss, batch_size), keep)


def snip_scores(model, names, images, labels, loss, batch_size=None):
    """Return {layer name: |w dL/dw|} for the layers in `names`, normalised to sum 1.

    Args:
        model, images, labels, loss, batch_size: as for `snip`.
        names: list of layer names.
    """
    loss = keras.losses.get(loss)
    variables = [prunable_layers(model)[name].kernel for name in names]

    def mean_loss(model, images, labels):
        return keras.ops.mean(loss(labels, model(images, training=True)))

    slope = gradients(function_of_weights(model, variables, mean_loss))
    values = [keras.ops.convert_to_tensor(variable) for variable in variables]
    slopes = mean_over_batches(lambda x, y: slope(values, x, y), images, labels, batch_size)
    scores = [
        np.abs(keras.ops.convert_to_numpy(value) * part)
        for value, part in zip(values, slopes, strict=True)
    ]
    # The scale changes no rank, but scores of different nets can be compared.
    norm = sum(score.sum() for score in scores) or 1.0
    return {name: score / norm for name, score in zip(names, scores, strict=True)}
