"""Pruning while a model trains: the callback that all methods share."""

import math

import keras
import numpy as np

from keras_ssc.arguments import integer, number
from keras_ssc.pruning.masks import kernels, masked_layers, read_masks, set_masks


class Rewiring(keras.callbacks.Callback):
    """Change the masks of a model of `apply_masks` while it trains.

        masks <- rewire(step, weights, masks)   at every `update_every`-th optimizer step

    A method is a subclass with its own `rewire`. Weights that die become exactly 0, weights that
    are born start at 0 or at what `rewire` wrote; the optimizer's slots (momentum, Adam's moments)
    of both start anew. Layers without a mask stay dense.

    Steps are those of `optimizer.iterations`, so a training that is resumed
    (`initial_epoch`) continues the schedule, and random numbers follow from (seed, step) alone.
    The masks change after a step, in the middle of an epoch too, on TensorFlow and on JAX; list
    this callback before those that save.

    Args:
        update_every: int, optimizer steps from one update to the next; None: one update an epoch.
        stop: float in (0, 1], share of the training after which the masks stay as they are.
        total_steps: int, optimizer steps of the whole training, or None: `epochs` times the steps
            of an epoch, as `fit` knows them. Needed where `fit` does not know, where the
            optimizer has made other steps before, and with gradient accumulation.
        seed: int.

    Attributes:
        history: list of dicts, one for each update: step, live, dropped, grown.

    Raises:
        ValueError: an argument is out of range, the model has no masks, or `total_steps` is
            needed.

    Example:

    >>> class Shift(Rewiring):
    ...     def rewire(self, step, weights, masks):
    ...         return {name: np.roll(mask, 1) for name, mask in masks.items()}
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="one")])
    >>> sparse = keras_ssc.pruning.apply_masks(model, {"one": np.eye(4, 2, dtype=bool)})
    >>> sparse.compile("sgd", "mse")
    >>> shift = Shift(update_every=2, stop=1.0)
    >>> x, y = np.ones((6, 4)), np.ones((6, 2))
    >>> fitted = sparse.fit(x, y, batch_size=2, epochs=1, callbacks=[shift], verbose=0)
    >>> shift.history
    [{'step': 2, 'live': 2, 'dropped': 2, 'grown': 2}]

    Reference: what SET, DSR and RigL have in common.
    """

    def __init__(self, update_every=100, stop=0.75, total_steps=None, seed=0):
        super().__init__()
        for name, value in (("update_every", update_every), ("total_steps", total_steps)):
            integral = isinstance(value, int) and not isinstance(value, bool)
            if value is not None and not (integral and value > 0):
                raise ValueError(f"`{name}` must be a positive integer. Received: {value!r}")
        if not 0 < number("stop", stop, 0) <= 1:
            raise ValueError(f"`stop` must lie in (0, 1]. Received: stop={stop}")
        self.update_every, self.stop, self.total_steps = update_every, stop, total_steps
        self.seed = integer("seed", seed, 0)
        self.history = []

    def rewire(self, step, weights, masks):
        """Return the new masks; what is written into `weights` becomes the kernels.

        Args:
            step: int, optimizer steps made so far.
            weights: dict, layer name -> array, zero where the mask is False; copies.
            masks: dict, layer name -> bool array.
        """
        raise NotImplementedError

    def next_update(self, step):
        """Return the first step after `step` with an update; infinity if there is none."""
        after = (step // self.period + 1) * self.period
        return after if after < self.last_step else math.inf

    def random(self, step):
        """Return the generator of random numbers of one update."""
        return np.random.default_rng((self.seed, step))

    def get_state(self):
        """Return what the next update depends on beside the model, a dict that JSON can hold.

        A training that is resumed gives it to `set_state` of a like callback, after
        `on_train_begin`: it then ends as if it had never stopped.
        """
        schedule = {"next": self._next, "period": self.period, "last_step": self.last_step}
        return schedule | {"history": self.history}

    def set_state(self, state):
        """Take up the state of `get_state`."""
        self._next, self.history = state["next"], list(state["history"])
        self.period, self.last_step = state["period"], state["last_step"]

    def on_train_begin(self, logs=None):
        """Lay the schedule out."""
        if not masked_layers(self.model):
            raise ValueError(
                f"`model` must have masks, see `apply_masks`. Received: {self.model.name!r}"
            )
        steps = self.params.get("steps")
        if steps is None and None in (self.total_steps, self.update_every):
            raise ValueError(
                "`total_steps` and `update_every` must be given where `fit` does not know how "
                f"many steps an epoch has. Received: {self.total_steps}, {self.update_every}"
            )
        self.period = self.update_every or steps
        total = self.total_steps or self.params["epochs"] * steps
        self.last_step = max(1, round(self.stop * total))
        self._next = None

    def on_epoch_begin(self, epoch, logs=None):
        """Note where the epoch begins: here every backend has the optimizer's count at hand."""
        self._begin = _count(self.model.optimizer)
        if self._next is None:
            if self.total_steps is None and self._begin != epoch * self.params["steps"]:
                raise ValueError(
                    "`total_steps` must be given, or the model compiled anew: epoch "
                    f"{epoch} begins at step {epoch * self.params['steps']}. Received: an "
                    f"optimizer that has made {self._begin} steps"
                )
            self._next = self.next_update(self._begin)

    def on_train_batch_end(self, batch, logs=None):
        """Update the masks if the time has come."""
        if self._begin + batch + 1 < self._next:
            return
        # On JAX asking for `self.model` brings the variables up to date, and `fit` then reads
        # them again; that takes its time, so it is not done at every step.
        step = _count(self.model.optimizer)
        if step >= self._next:
            self.update(step)
            self._next = self.next_update(step)

    def update(self, step):
        """Rewire the model once; `fit` need not run."""
        old = read_masks(self.model)
        weights = {name: kernel for name, kernel in kernels(self.model).items() if name in old}
        new = self.rewire(step, weights, dict(old))
        layers = masked_layers(self.model)
        for name, layer in layers.items():
            layer.kernel.assign(weights[name])
        set_masks(self.model, new)
        self.history.append(
            {
                "step": step,
                "live": sum(int(mask.sum()) for mask in new.values()),
                "dropped": sum(int((old[name] & ~new[name]).sum()) for name in old),
                "grown": sum(int((new[name] & ~old[name]).sum()) for name in old),
            }
        )


def _count(optimizer):
    return int(keras.ops.convert_to_numpy(optimizer.iterations))


def grow_at_random(kept, old, counts, random):
    """Return masks: those of `kept`, and in each layer so many places more, drawn at random.

    They are places that were dead before; in a layer that has too few of these, also those that
    were just dropped.

    Args:
        kept: dict, layer name -> bool array, what is left of `old`.
        old: dict, layer name -> bool array.
        counts: dict, layer name -> int, at most the places that are free in `kept`.
        random: `np.random.Generator`.

    Example:

    >>> old = {"one": np.array([True, True, False])}
    >>> kept = {"one": np.array([True, False, False])}
    >>> grow_at_random(kept, old, {"one": 1}, np.random.default_rng(0))
    {'one': array([ True, False,  True])}
    """
    masks = {}
    for name, mask in kept.items():
        places = np.flatnonzero(~old[name])
        if counts[name] > places.size:
            places = np.flatnonzero(~mask)
        masks[name] = mask.copy()
        masks[name].flat[random.choice(places, counts[name], replace=False)] = True
    return masks
