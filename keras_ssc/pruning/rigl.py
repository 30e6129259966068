"""RigL: weak weights die, and grow again where the loss falls fastest."""

import math

import keras
import numpy as np

from keras_ssc.arguments import boolean, fraction, integer
from keras_ssc.pruning.budget import keep_largest_per_layer
from keras_ssc.pruning.differentiate import function_of_weights, gradients
from keras_ssc.pruning.masks import masked_layers
from keras_ssc.pruning.rewiring import Rewiring


class RigL(Rewiring):
    """Drop the smallest weights, grow those of the largest gradient, layer by layer.

        share(step) = drop_fraction / 2 * (1 + cos(pi * step / last step))
        drop        floor(share * live) weights of smallest |w|
        grow        as many of largest |dL/dw|, among all that are dead then

    dL/dw is the dense gradient: of a loss in which all weights may take part, the pruned ones at
    the value 0. It is taken on one batch of `data`, at the weights after the step, and nothing is
    written for it. A weight that is dropped and grown at once keeps its value and its momentum,
    as in RigL's code; the others start at 0.

    Args:
        data: (x, y) or (x, y, sample_weight), arrays from which `batch_size` rows are drawn at
            random for each update; or a `keras.utils.PyDataset`, one of whose batches is drawn.
        drop_fraction: float in (0, 1).
        anneal: bool. False: share(step) = drop_fraction throughout.
        batch_size: int, rows for the gradient, where `data` is arrays.
        update_every, stop, total_steps, seed: see `Rewiring`.

    Raises:
        ValueError: see `Rewiring`; or `data` is none of the two.

    Example:

    >>> x, y = np.ones((40, 8), "float32"), np.ones((40, 4), "float32")
    >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4, name="one")])
    >>> sparse = keras_ssc.pruning.apply_masks(model, {"one": np.eye(8, 4, dtype=bool)})
    >>> sparse.compile("sgd", "mse")
    >>> rigl = RigL((x, y), update_every=1, batch_size=10)
    >>> fitted = sparse.fit(x, y, batch_size=10, callbacks=[rigl], verbose=0)
    >>> [update["live"] for update in rigl.history]
    [4, 4]

    Reference: Evci, Gale, Menick, Castro, Elsen, "Rigging the Lottery", ICML 2020, and its code
    google-research/rigl; there the update stands in place of a step, here it follows one.
    """

    def __init__(
        self,
        data,
        drop_fraction=0.3,
        anneal=True,
        update_every=100,
        stop=0.75,
        total_steps=None,
        batch_size=128,
        seed=0,
    ):
        super().__init__(update_every, stop, total_steps, seed)
        if not isinstance(data, (tuple, keras.utils.PyDataset)):
            raise ValueError(
                f"`data` must be a tuple (x, y) or a keras.utils.PyDataset. Received: {data!r}"
            )
        self.data, self.batch_size = data, integer("batch_size", batch_size, 1)
        self.drop_fraction = fraction("drop_fraction", drop_fraction)
        self.anneal = boolean("anneal", anneal)

    def on_train_begin(self, logs=None):
        """Lay the schedule out, and make the function that gives the gradient."""
        super().on_train_begin(logs)
        self.gradient = dense_gradients(self.model)

    def share(self, step):
        """Return the share of the live weights that dies at `step`."""
        if not self.anneal:
            return self.drop_fraction
        return self.drop_fraction / 2 * (1 + math.cos(math.pi * step / self.last_step))

    def batch(self, step):
        """Return the batch (x, y) or (x, y, sample_weight) of the update at `step`."""
        random = self.random(step)
        if not isinstance(self.data, tuple):
            return self.data[int(random.integers(self.data.num_batches))]
        rows = len(self.data[0])
        chosen = random.choice(rows, min(self.batch_size, rows), replace=False)
        return tuple(part[chosen] for part in self.data)

    def rewire(self, step, weights, masks):
        """Return the masks after dropping and growing."""
        dropped = {name: int(self.share(step) * mask.sum()) for name, mask in masks.items()}
        size = {name: np.where(masks[name], np.abs(weights[name]), -1.0) for name in masks}
        left = {name: int(mask.sum()) - dropped[name] for name, mask in masks.items()}
        kept = keep_largest_per_layer(size, left)
        slope = self.gradient(*self.batch(step))
        slope = {name: np.where(kept[name], -1.0, np.abs(slope[name])) for name in masks}
        grown = keep_largest_per_layer(slope, dropped)
        return {name: kept[name] | grown[name] for name in masks}


def dense_gradients(model):
    """Return a function (x, y, sample_weight) -> {layer: gradient of the loss by all its weights}.

    The pruned weights are 0, so with every mask set to True the model computes the same, and its
    gradient is that by the live and the pruned weights. Masks and weights are passed to the
    loss, not written into the model.

    Args:
        model: a compiled model of `apply_masks`.

    Returns:
        Function of one batch, `sample_weight` optional, that gives a dict, layer name -> array
        shaped like the kernel. It may be called again after the weights have changed.

    Example:

    >>> model = keras.Sequential(
    ...     [keras.Input((2,)), keras.layers.Dense(1, use_bias=False, name="one")])
    >>> model = keras_ssc.pruning.apply_masks(model, {"one": np.zeros((2, 1), bool)})
    >>> model.compile("sgd", "mse")
    >>> gradient = dense_gradients(model)
    >>> gradient(np.array([[1.0, 2.0]], "float32"), np.array([[3.0]], "float32"))["one"].tolist()
    [[-6.0], [-12.0]]

    Reference: RigL, section 3.
    """
    layers = masked_layers(model)
    ours = [layer.kernel for layer in layers.values()]
    masks = [layer.kernel_mask for layer in layers.values()]
    taken = {id(variable) for variable in ours + masks}
    # All variables are passed: a compiled function would keep the values it first saw.
    others = [
        variable
        for variable in model.trainable_variables + model.non_trainable_variables
        if id(variable) not in taken
    ]

    def loss(model, x, y, sample_weight):
        predicted = model(x, training=True)
        return model.compute_loss(x, y, predicted, sample_weight)

    of_all = function_of_weights(model, ours + masks + others, loss)
    compiled = gradients(
        lambda values, rest, *batch: of_all([*values, *rest], *batch)  # by the kernels only
    )

    def function(x, y, sample_weight=None):
        values = [keras.ops.convert_to_tensor(variable) for variable in ours]
        rest = [keras.ops.ones(mask.shape, "bool") for mask in masks]
        rest += [keras.ops.convert_to_tensor(variable) for variable in others]
        found = compiled(values, rest, x, y, sample_weight)
        return {
            name: keras.ops.convert_to_numpy(value)
            for name, value in zip(layers, found, strict=True)
        }

    return function
