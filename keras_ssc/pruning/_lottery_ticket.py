"""Lottery tickets: train, prune by magnitude, rewind what survives, and again."""

import numpy as np

from keras_ssc.arguments import number
from keras_ssc.pruning.budget import keep_largest, weights_to_keep
from keras_ssc.pruning.masks import apply_masks, kernels


def lottery_ticket(model, train, sparsity=None, *, keep=None, dense=(), share=0.2, warm_up=None):
    """Return a sparse model, ready to be trained, that iterative magnitude pruning has found.

        start  = model, or what `warm_up` makes of it
        repeat:  train(start under the masks);  keep the largest |w|, `share` fewer than before
        ticket = start under the masks

    At 20 % a round, 90, 95 and 98 % sparsity take 11, 14 and 18 trainings (the last round removes
    what is left to remove); share=1 prunes in one.

    To rewind to the initial weights, leave `warm_up` out. To rewind to those at the end of epoch
    5, let `warm_up` train the first five epochs and `train` those from the sixth on, for example
    with the argument `initial_epoch` of `fit`.

    Args:
        model: a built functional or Sequential `keras.Model`; it is not touched.
        train: function (model), which compiles the model and fits it in place; a model that is
            compiled already comes with an optimizer that starts anew.
        sparsity: float in [0, 1), of the whole network, or
        keep: int, the live weights of the whole network.
        dense: names of layers that stay dense.
        share: float in (0, 1], of the live weights, removed in each round.
        warm_up: function (model) that trains it in place to where survivors are rewound, or None.

    Returns:
        `keras.Model` with masks, its live weights rewound; `train` it. `read_masks` gives the
        masks.

    Raises:
        TypeError, ValueError: see `apply_masks` and `weights_to_keep`; `share` is out of range.

    Example:

    >>> model = keras.Sequential([keras.Input((30,)), keras.layers.Dense(3, "softmax", name="a")])
    >>> def train(model, first=1, last=3):
    ...     model.compile("sgd", "sparse_categorical_crossentropy")
    ...     images, labels = np.ones((6, 30), "float32"), np.arange(6) % 3
    ...     history = model.fit(images, labels, initial_epoch=first, epochs=last, verbose=0)
    >>> ticket = lottery_ticket(model, train, 0.5, warm_up=lambda model: train(model, 0, 1))
    >>> keras_ssc.pruning.live_weights(ticket)
    45

    Reference: Frankle and Carbin, "The Lottery Ticket Hypothesis", arXiv 1803.03635; rewinding to
    an early epoch: Frankle et al., arXiv 1903.01611.
    """
    if not 0 < number("share", share, 0) <= 1:
        raise ValueError(f"`share` must be in (0, 1]. Received: share={share}")
    keep, names = weights_to_keep(model, sparsity, keep, dense)
    start = apply_masks(model, {})
    if warm_up is not None:
        warm_up(start)
    masks = {name: np.ones(kernel.shape, bool) for name, kernel in kernels(model).items()}
    masks = {name: masks[name] for name in names}
    live = sum(mask.size for mask in masks.values())
    while live > keep:
        live = max(keep, int((1 - share) * live))
        trained = apply_masks(start, masks)
        train(trained)
        weights = kernels(trained)
        # What is gone ranks below a living weight of zero.
        scores = {name: np.where(mask, np.abs(weights[name]), -1.0) for name, mask in masks.items()}
        masks = keep_largest(scores, live)
    return apply_masks(start, masks)
