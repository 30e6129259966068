"""Deep R: weights walk at random with a fixed sign, and die where they would change it."""

import base64

import keras
import numpy as np

from keras_ssc.arguments import fraction, number, numbers
from keras_ssc.pruning.masks import kernels, read_masks
from keras_ssc.pruning.rewiring import Rewiring, grow_at_random

_BORN = 1e-12  # about 0, with a sign


class DeepR(Rewiring):
    """After a step, pull the weights to zero, shake them, drop those whose sign would change.

        theta = sign * w - eta * l1 + sqrt(2 * eta * T) * noise     noise ~ N(0, 1), w live
        theta <= 0: the connection dies, and a random dead one of its layer is born with
        |w| = 1e-12 and a random sign; else w = sign * theta

    eta is the optimizer's learning rate. Any optimizer makes the step; the original is plain SGD
    (learning rate 0.01 for the convolutions of DSR's authors, no decay) and adds drift and noise
    to the same step. Two things differ further: the original fixes a sign for every place, here
    a newborn's sign is drawn anew; and with `update_every` k > 1, drift and noise of k steps are
    added at once (k * eta * l1, sqrt(2 * k * eta * T)), signs are compared only then. A training
    that is taken up again without `set_state` notes the signs that it finds.

    Each update moves all kernels between the backend and NumPy: on large networks take
    `update_every` above 1.

    Args:
        l1: float >= 0.
        temperatures: floats >= 0, T in each part of the training.
        cooling: floats in (0, 1), where the next part begins, as shares of the training; one
            less than `temperatures`.
        update_every, stop, total_steps, seed: see `Rewiring`.

    Raises:
        ValueError: see `Rewiring`; `l1` or a temperature is negative, or the lengths do not fit.

    Example:

    >>> x, y = np.ones((40, 8), "float32"), np.ones((40, 4), "float32")
    >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4, name="one")])
    >>> sparse = keras_ssc.pruning.apply_masks(model, {"one": np.eye(8, 4, dtype=bool)})
    >>> sparse.compile("sgd", "mse")
    >>> rewiring = DeepR()
    >>> fitted = sparse.fit(x, y, batch_size=10, callbacks=[rewiring], verbose=0)
    >>> [update["live"] for update in rewiring.history]
    [4, 4, 4]

    Reference: Bellec, Kappel, Maass, Legenstein, "Deep rewiring", ICLR 2018; the constants are
    those of DSR's authors.
    """

    def __init__(
        self,
        l1=1e-5,
        temperatures=(1e-5, 1e-8, 1e-12, 1e-15),
        cooling=(0.125, 0.4, 0.7),
        update_every=1,
        stop=0.95,
        total_steps=None,
        seed=0,
    ):
        super().__init__(update_every, stop, total_steps, seed)
        self.l1 = number("l1", l1, 0)
        self.temperatures = numbers("temperatures", temperatures, 0)
        cooling = numbers("cooling", cooling, 0)
        if len(temperatures) != len(cooling) + 1:
            raise ValueError(
                "`temperatures` must be one more than `cooling`. "
                f"Received: {temperatures}, {cooling}"
            )
        self.cooling = tuple(fraction("cooling", share) for share in cooling)

    def on_train_begin(self, logs=None):
        """Lay the schedule out, and note the signs; weights that are 0 draw one."""
        super().on_train_begin(logs)
        weights, random = kernels(self.model), self.random(0)
        self.signs = {}
        for name, mask in read_masks(self.model).items():
            drawn = random.choice([-1.0, 1.0], mask.shape)
            self.signs[name] = np.where(weights[name] == 0, drawn, np.sign(weights[name]))

    def get_state(self):
        """Return the state, the signs with it as bits."""
        bits = {name: np.packbits(signs > 0).tobytes() for name, signs in self.signs.items()}
        signs = {name: base64.b64encode(b).decode("ascii") for name, b in bits.items()}
        return super().get_state() | {"signs": signs}

    def set_state(self, state):
        """Take up the state of `get_state`."""
        super().set_state(state)
        for name, text in state["signs"].items():
            bits = np.frombuffer(base64.b64decode(text), "uint8")
            signs = np.unpackbits(bits, count=self.signs[name].size) * 2.0 - 1
            self.signs[name] = signs.reshape(self.signs[name].shape)

    def temperature(self, step):
        """Return T at `step`."""
        training = self.last_step / self.stop
        return self.temperatures[sum(step >= share * training for share in self.cooling)]

    def rewire(self, step, weights, masks):
        """Return the masks after the walk; the weights it reached are written into `weights`."""
        random = self.random(step)
        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)) * self.period
        noise = np.sqrt(2 * rate * self.temperature(step))
        kept, counts = {}, {}
        for name, mask in masks.items():
            theta = self.signs[name] * weights[name] - rate * self.l1
            theta += noise * random.standard_normal(mask.shape)
            kept[name] = mask & (theta > 0)
            counts[name] = int((mask & ~kept[name]).sum())
            weights[name][:] = self.signs[name] * theta
        grown = grow_at_random(kept, masks, counts, random)
        for name in masks:
            born = grown[name] & ~kept[name]
            self.signs[name][born] = random.choice([-1.0, 1.0], int(born.sum()))
            weights[name][born] = _BORN * self.signs[name][born]
        return grown
