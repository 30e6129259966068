"""MLPrune: remove the weights of all layers whose removal costs least, by K-FAC's Hessian."""

import keras
import numpy as np

from keras_ssc.arguments import integer, number
from keras_ssc.pruning.budget import keep_largest, weights_to_keep
from keras_ssc.pruning.kronecker import (
    kernel_by_groups,
    kernel_from_groups,
    kronecker_factors,
    kronecker_saliencies,
)
from keras_ssc.pruning.log_probabilities import log_probabilities
from keras_ssc.pruning.masks import kernels, prunable_layers, read_masks


def mlprune(
    model,
    images,
    sparsity=None,
    *,
    keep=None,
    dense=(),
    from_logits=False,
    draws=1,
    damping=1e-3,
    batch_size=100,
    seed=0,
):
    """Return masks that remove the weights of a trained model whose removal costs least, by K-FAC.

        saliency_ij = w_ij^2 / (2 [A~^-1]_ii [G~^-1]_jj)

    where A (x) G is the layer's Fisher information as a Kronecker product of what its kernel sees
    and of the gradients by its sums, and ~ says that a little of the identity is added. Labels are
    drawn from the model's own predictions; BatchNormalization works as for inference; all layers
    are ranked together. Prune once, then train further under the masks.

    Args:
        model: a trained `keras.Model` that gives class probabilities (or logits).
        images: array (images, ...), as the model takes them; some thousand, or the widest layers'
            factors are mostly damping.
        sparsity: float in [0, 1), of the whole network, or
        keep: int, the live weights of the whole network.
        dense: names of layers that stay dense; they get no mask.
        from_logits: bool, whether the model gives logits.
        draws: int, labels drawn for each image; None: all classes, weighted by their probability.
        damping: float > 0, relative to the factors' mean eigenvalues.
        batch_size: int, images at a time: of these all layers' inputs are held at once.
        seed: int, of the drawn labels.

    Returns:
        dict, layer name -> bool array, for `apply_masks`.

    Raises:
        ValueError: see `weights_to_keep`; a layer is called twice; an argument is out of range; a
            saliency is NaN.

    Example:

    >>> model = keras.Sequential([keras.Input((30,)), keras.layers.Dense(3, "softmax", name="a")])
    >>> masks = mlprune(model, np.ones((6, 30), "float32"), 0.9)
    >>> int(masks["a"].sum())
    9

    Reference: Zeng and Urtasun, "MLPrune: Multi-Layer Pruning for Automated Neural Network
    Compression", 2019. Its damping is not the authors': see `kronecker_saliencies`.
    """
    keep, names = weights_to_keep(model, sparsity, keep, dense)
    saliencies = mlprune_saliencies(
        model, names, images, from_logits, draws, damping, batch_size, seed
    )
    masks = read_masks(model)
    # What is gone already ranks below a living weight of zero.
    scores = {name: np.where(masks.get(name, True), s, -1.0) for name, s in saliencies.items()}
    return keep_largest(scores, keep)


def mlprune_saliencies(
    model, names, images, from_logits=False, draws=1, damping=1e-3, batch_size=100, seed=0
):
    """Return {layer name: saliencies, shaped like the kernel}; arguments as for `mlprune`.

    Args:
        names: list of layer names.
    """
    if not number("damping", damping, 0) > 0:
        raise ValueError(f"`damping` must be greater than 0. Received: damping={damping}")
    batch_size = integer("batch_size", batch_size, 1)
    labels = _labels(model, images, from_logits, draws, integer("seed", seed, 0))
    factors = kronecker_factors(
        model, names, images, labels, from_logits=from_logits, batch_size=batch_size
    )
    layers, weights = prunable_layers(model), kernels(model)
    found = {}
    for name, (a, g) in factors.items():
        if not (np.isfinite(a).all() and np.isfinite(g).all()):
            raise ValueError(
                f"`model` must give finite gradients. Received: NaN or infinity in layer {name!r}"
            )
        matrices = kernel_by_groups(layers[name], weights[name])
        saliencies = kronecker_saliencies(matrices, a, g, damping)
        found[name] = kernel_from_groups(layers[name], saliencies)
    return found


def _labels(model, images, from_logits, draws, seed):
    """[(label of each image, how much it counts)], drawn from the predictions, or all."""
    logs = log_probabilities(model.predict(images, verbose=0), from_logits)
    chances = np.exp(keras.ops.convert_to_numpy(logs).astype("float64"))
    chances /= chances.sum(axis=1, keepdims=True)
    count, classes = chances.shape
    if draws is None:
        return [(np.full(count, label), chances[:, label]) for label in range(classes)]
    draws = integer("draws", draws, 1)
    if not np.isfinite(chances).all():
        raise ValueError("`model` must give finite predictions. Received: NaN or infinity")
    random = np.random.default_rng(seed)
    drawn = [random.choice(classes, draws, p=row) for row in chances]
    return [(np.array(labels), np.full(count, 1 / draws)) for labels in np.transpose(drawn)]
