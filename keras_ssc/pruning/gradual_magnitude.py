"""Gradual magnitude pruning: from dense to sparse along a cubic curve."""

import numpy as np

from keras_ssc.arguments import fraction, number
from keras_ssc.pruning.budget import keep_largest, weights_to_keep
from keras_ssc.pruning.masks import masked_layers, prunable_layers
from keras_ssc.pruning.rewiring import Rewiring


class GradualMagnitude(Rewiring):
    """Prune the smallest weights of the whole network, more and more of them.

        s(t) = s_f + (s_i - s_f) * (1 - (t - t0) / (t1 - t0))^3,   t0 <= t <= t1

    At every update the network keeps round((1 - s(t)) * weights) weights of largest |w|, over all
    layers together; what is dead stays dead. The model starts dense, that is with masks that are
    all True. Layers without a mask stay dense and count.

    Args:
        sparsity: float in (0, 1), s_f, of all kernels of the network; exact after the update at
            t1.
        initial_sparsity: float in [0, 1), s_i.
        start: float in [0, 1), t0 as a share of the training.
        stop: float in (0, 1], t1 as a share of the training.
        update_every, total_steps: see `Rewiring`; one more update is made at t1.

    Raises:
        ValueError: see `Rewiring`; `start` is not before `stop`, or a sparsity is out of range.

    Example:

    >>> x, y = np.ones((40, 8), "float32"), np.ones((40, 5), "float32")
    >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(5, name="one")])
    >>> dense = keras_ssc.pruning.apply_masks(model, {"one": np.ones((8, 5), bool)})
    >>> dense.compile("sgd", "mse")
    >>> pruning = GradualMagnitude(0.9, update_every=1, stop=1.0)
    >>> fitted = dense.fit(x, y, batch_size=10, callbacks=[pruning], verbose=0)
    >>> [update["live"] for update in pruning.history]
    [19, 8, 5, 4]

    Reference: Zhu, Gupta, "To prune, or not to prune", 2017; the settings of GraNet's code.
    """

    def __init__(
        self,
        sparsity,
        initial_sparsity=0.0,
        update_every=1000,
        start=0.0,
        stop=0.5,
        total_steps=None,
    ):
        super().__init__(update_every, stop, total_steps)
        sparsity = fraction("sparsity", sparsity)
        initial_sparsity = number("initial_sparsity", initial_sparsity, 0)
        if not 0 <= initial_sparsity <= sparsity < 1:
            raise ValueError(
                "`sparsity` and `initial_sparsity` must be 0 <= initial_sparsity <= sparsity < 1. "
                f"Received: {sparsity}, {initial_sparsity}"
            )
        if not number("start", start, 0) < stop:
            raise ValueError(f"`start` must lie in [0, `stop`). Received: {start}, {stop}")
        self.sparsity, self.initial_sparsity, self.start = sparsity, initial_sparsity, start

    def on_train_begin(self, logs=None):
        """Lay the schedule out; the dense layers must leave room for the sparsity."""
        super().on_train_begin(logs)
        self.keep_at(self.last_step)

    def next_update(self, step):
        """Return the first step after `step` with an update; the last is t1."""
        if step >= self.last_step:
            return np.inf
        return min((step // self.period + 1) * self.period, self.last_step)

    def sparsity_at(self, step):
        """Return s(step)."""
        begin = self.start / self.stop * self.last_step
        left = 1 - (np.clip(step, begin, self.last_step) - begin) / (self.last_step - begin)
        return float(self.sparsity + (self.initial_sparsity - self.sparsity) * left**3)

    def keep_at(self, step):
        """Return how many weights of the layers with masks live after `step`."""
        unmasked = set(prunable_layers(self.model)) - set(masked_layers(self.model))
        return weights_to_keep(self.model, self.sparsity_at(step), dense=unmasked)[0]

    def rewire(self, step, weights, masks):
        """Return the masks of the largest weights."""
        live = sum(int(mask.sum()) for mask in masks.values())
        size = {name: np.where(masks[name], np.abs(weights[name]), -1.0) for name in masks}
        return keep_largest(size, min(self.keep_at(step), live))
