"""DSR: weights under an adaptive threshold die, and grow at random in the layers that do well."""

import math

import numpy as np

from keras_ssc.arguments import fraction, number, numbers
from keras_ssc.pruning.budget import share_counts
from keras_ssc.pruning.rewiring import Rewiring, grow_at_random


class DSR(Rewiring):
    """Drop |w| < H in all layers; share the freed weights out by how many survive in each layer.

        drop    |w| < H, but never a layer's last weight
        grow    as many in all: n_layer proportional to the survivors of the layer, at random
                places that were dead, with value 0
        H       halves when more than 1.1 * target were dropped, doubles when less than 0.9 * target

    DSR starts from random masks. `callback.threshold` is the present H: a training that another
    process takes up again should be given it.

    Args:
        threshold: float > 0, H at the start.
        target_fraction: float in (0, 1); target = target_fraction * live weights. The authors'
            20,000 weights of WRN-28-2 at 90 % are this share.
        update_every, stop, total_steps, seed: see `Rewiring`.
        slow_down: tuple of floats in (0, 1): at each of these shares of the training the steps
            between two updates double; () keeps them.

    Raises:
        ValueError: see `Rewiring`; or `threshold` is not positive.

    Example:

    >>> x, y = np.ones((40, 8), "float32"), np.ones((40, 4), "float32")
    >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4, name="one")])
    >>> sparse = keras_ssc.pruning.apply_masks(model, {"one": np.eye(8, 4, dtype=bool)})
    >>> sparse.compile("sgd", "mse")
    >>> rewiring = DSR(update_every=1, total_steps=100)
    >>> fitted = sparse.fit(x, y, batch_size=10, callbacks=[rewiring], verbose=0)
    >>> [update["live"] for update in rewiring.history]
    [4, 4, 4, 4]

    Reference: Mostafa, Wang, "Parameter efficient training of deep convolutional neural networks
    by dynamic sparse reparameterization", ICML 2019, and the authors' code.
    """

    def __init__(
        self,
        threshold=1e-3,
        target_fraction=0.138,
        update_every=100,
        stop=0.95,
        total_steps=None,
        slow_down=(0.125, 0.4, 0.7),
        seed=0,
    ):
        super().__init__(update_every, stop, total_steps, seed)
        threshold = number("threshold", threshold, 0)
        if not threshold > 0:
            raise ValueError(f"`threshold` must be positive. Received: threshold={threshold}")
        self.threshold = threshold
        self.target_fraction = fraction("target_fraction", target_fraction)
        self.slow_down = tuple(
            fraction("slow_down", share) for share in numbers("slow_down", slow_down, 0)
        )

    def get_state(self):
        """Return the state, the threshold with it."""
        return super().get_state() | {"threshold": self.threshold}

    def set_state(self, state):
        """Take up the state of `get_state`."""
        super().set_state(state)
        self.threshold = state["threshold"]

    def next_update(self, step):
        """Return the first step after `step` with an update; infinity if there is none."""
        training = self.last_step / self.stop
        slower = sum(step >= share * training for share in self.slow_down)
        period = self.period * 2**slower
        after = (step // period + 1) * period
        return after if after < self.last_step else math.inf

    def rewire(self, step, weights, masks):
        """Return the masks after dropping and growing, and adapt the threshold."""
        kept = {name: masks[name] & (np.abs(weights[name]) >= self.threshold) for name in masks}
        for name, mask in masks.items():
            if mask.any() and not kept[name].any():
                size = np.where(mask, np.abs(weights[name]), -1.0)
                kept[name].flat[size.argmax()] = True
        survivors = {name: max(int(mask.sum()), 1) for name, mask in kept.items()}
        free = {name: int((~mask).sum()) for name, mask in kept.items()}
        live = sum(int(mask.sum()) for mask in masks.values())
        dropped = live - sum(int(mask.sum()) for mask in kept.values())
        if dropped > 1.1 * self.target_fraction * live:
            self.threshold /= 2
        elif dropped < 0.9 * self.target_fraction * live:
            self.threshold *= 2
        counts = share_counts(survivors, free, dropped)
        return grow_at_random(kept, masks, counts, self.random(step))
