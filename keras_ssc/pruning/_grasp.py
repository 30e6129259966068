"""GraSP: remove the weights without which the gradient flows best, before training."""

import keras
import numpy as np

from keras_ssc.pruning.budget import keep_largest, weights_to_keep
from keras_ssc.pruning.differentiate import function_of_weights, gradients, hessian_times
from keras_ssc.pruning.log_probabilities import log_probabilities
from keras_ssc.pruning.masks import prunable_layers
from keras_ssc.pruning.samples import mean_over_batches


def grasp(
    model,
    images,
    labels,
    sparsity=None,
    *,
    keep=None,
    dense=(),
    temperature=200.0,
    from_logits=False,
    batch_size=None,
    redraw_dense=False,
    seed=0,
):
    """Return masks that keep the flow of the gradient, to first order.

        score = -w * (H g),   the weights of largest score are removed

    with g and H the gradient and the Hessian by the weights of the mean cross-entropy at logits /
    temperature. Removing w changes |g|^2 by 2 * score, about, so what is removed harms the flow
    least, or even helps it. BatchNormalization works in training mode; all layers are ranked
    together. Usual are the untrained model, and 10 images of each class (`samples_per_class`).

    `keras.layers.BatchNormalization` on TensorFlow stops a gradient inside its moments: right at
    first order, but H g is then wrong by about 1 / (pixels of the batch). That of
    `keras_ssc.layers` is exact where its native operation computes (CPU, float32).

    IP-GraSP: `apply_masks(model, masks, interspace=True)`. At the start the basis is the standard
    basis, so the scores of the coefficients are those of the kernel.

    Args:
        model: a built `keras.Model` that gives class probabilities (or logits).
        images: array (images, ...), as the model takes them.
        labels: int array (images,) or (images, 1).
        sparsity: float in [0, 1), of the whole network, or
        keep: int, the live weights of the whole network.
        dense: names of layers that stay dense; they get no mask.
        temperature: float > 0, divides the logits.
        from_logits: bool, whether the model gives logits.
        batch_size: int, images at once; None: all.
        redraw_dense: bool. True: for the scores alone, kernels of Dense layers are drawn anew
            from Glorot's normal distribution, as GraSP's code does.
        seed: int, of that draw.

    Returns:
        dict, layer name -> bool array, for `apply_masks`.

    Raises:
        ValueError: see `weights_to_keep`; images and labels are not as many; the temperature is
            not positive; a score is NaN.

    Example:

    >>> model = keras.Sequential([keras.Input((30,)), keras.layers.Dense(3, "softmax", name="a")])
    >>> masks = grasp(model, np.ones((6, 30), "float32"), np.arange(6) % 3, 0.9)
    >>> int(masks["a"].sum())
    9

    Reference: Wang et al., "Picking Winning Tickets", arXiv 2002.07376, and its code; Interspace:
    Wimmer et al., arXiv 2203.07808.
    """
    if not temperature > 0:
        raise ValueError(f"`temperature` must be positive. Received: temperature={temperature}")
    keep, names = weights_to_keep(model, sparsity, keep, dense)
    layers = prunable_layers(model)
    values = {name: layers[name].kernel for name in names}
    if redraw_dense:
        draw = keras.initializers.GlorotNormal(seed=seed)
        for name in names:
            if isinstance(layers[name], keras.layers.Dense):
                values[name] = draw(values[name].shape)
    scores = grasp_scores(model, values, images, labels, temperature, from_logits, batch_size)
    return keep_largest({name: -score for name, score in scores.items()}, keep)


def grasp_scores(
    model, values, images, labels, temperature=200.0, from_logits=False, batch_size=None
):
    """Return {layer name: -w * (H g)}.

    Args:
        model, images, labels, temperature, from_logits, batch_size: as for `grasp`.
        values: dict, layer name -> tensor or variable, the kernels w.
    """

    def mean_loss(model, images, labels):
        outputs = model(images, training=True)
        logs = log_probabilities(outputs, from_logits, temperature)
        chosen = keras.ops.one_hot(labels, outputs.shape[-1], dtype=logs.dtype)
        return -keras.ops.mean(keras.ops.sum(chosen * logs, axis=-1))

    labels = np.reshape(labels, -1)
    kernels = [keras.ops.convert_to_tensor(value) for value in values.values()]
    variables = [prunable_layers(model)[name].kernel for name in values]
    function = function_of_weights(model, variables, mean_loss)
    slope, curvature = gradients(function), hessian_times(function)
    # First the gradient of all images, which is then a constant; then the Hessian of all.
    g = mean_over_batches(lambda x, y: slope(kernels, x, y), images, labels, batch_size)
    g = [keras.ops.cast(part, kernel.dtype) for part, kernel in zip(g, kernels, strict=True)]
    product = mean_over_batches(
        lambda x, y: curvature(kernels, g, x, y), images, labels, batch_size
    )
    return {
        name: -keras.ops.convert_to_numpy(kernel) * part
        for name, kernel, part in zip(values, kernels, product, strict=True)
    }
