"""SET: the weights nearest to zero die, and as many grow at random places."""

import keras
import numpy as np

from keras_ssc.arguments import fraction
from keras_ssc.pruning.budget import keep_largest
from keras_ssc.pruning.rewiring import Rewiring, grow_at_random


class SET(Rewiring):
    """Drop the smallest positive and the largest negative weights, grow as many at random.

        drop    floor(drop_fraction * positives) smallest positive weights of each layer,
                floor(drop_fraction * negatives) largest negative ones, and those that are 0
        grow    as many in the layer, at random places that were dead

    Dropping by |w|, as other codes of SET do, differs in how positives and negatives share the
    loss. SET starts from masks with the layer densities of ER, such as random masks of ERK.

    Args:
        drop_fraction: float in (0, 1), zeta.
        initializer: what the new weights are drawn from, a Keras initializer or its name, given
            the shape of the dense kernel. None: they start at 0, as in SET's code for Keras; the
            article draws them.
        update_every, stop, total_steps, seed: see `Rewiring`; by default at each epoch's end but
            the last.

    Raises:
        ValueError: see `Rewiring`.

    Example:

    >>> x, y = np.ones((40, 8), "float32"), np.ones((40, 4), "float32")
    >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4, name="one")])
    >>> sparse = keras_ssc.pruning.apply_masks(model, {"one": np.eye(8, 4, dtype=bool)})
    >>> sparse.compile("sgd", "mse")
    >>> rewiring = SET()
    >>> fitted = sparse.fit(x, y, epochs=4, callbacks=[rewiring], verbose=0)
    >>> [update["live"] for update in rewiring.history]
    [4, 4, 4]

    Reference: Mocanu et al., "Scalable training of artificial neural networks with adaptive
    sparse connectivity inspired by network science", Nature Communications 2018.
    """

    def __init__(
        self,
        drop_fraction=0.3,
        initializer=None,
        update_every=None,
        stop=1.0,
        total_steps=None,
        seed=0,
    ):
        super().__init__(update_every, stop, total_steps, seed)
        self.drop_fraction = fraction("drop_fraction", drop_fraction)
        self.initializer = None if initializer is None else keras.initializers.get(initializer)

    def rewire(self, step, weights, masks):
        """Return the masks after dropping and growing."""
        kept = {}
        for name, weight in weights.items():
            kept[name] = self._largest(weight) | self._largest(-weight)
        counts = {name: int((masks[name] & ~kept[name]).sum()) for name in masks}
        grown = grow_at_random(kept, masks, counts, self.random(step))
        if self.initializer is not None:
            for name, weight in weights.items():
                drawn = keras.ops.convert_to_numpy(self.initializer(weight.shape))
                weight[:] = np.where(grown[name] & ~masks[name], drawn, weight)
        return grown

    def _largest(self, weight):
        """Positive weights without the share that dies; dead weights are 0."""
        count = int((weight > 0).sum())
        return keep_largest({"": weight}, count - int(self.drop_fraction * count))[""]
