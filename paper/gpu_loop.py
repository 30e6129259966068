"""The recipe of `fit` in few calls of a GPU: an epoch is one `jax.lax.scan`.

The images stay on the device as bytes and are cropped, mirrored and normalised there. What an epoch
draws is drawn as `fit` draws it, so both see the same batches. Convolutions compute in bfloat16;
weights, moments, sums and the loss are float32.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import keras
import numpy as np

from keras_ssc import pruning
from paper.fit import MOMENTUM, schedule
from paper.inputs import training_batches
from paper.networks import build
from paper.setting import Setting

POLICIES = {"bfloat16": "mixed_bfloat16", "float32": "float32"}


class State(NamedTuple):
    """Everything that a step changes.

    Args:
        trainable: list of arrays, the weights.
        fixed: list of arrays, moving statistics and masks.
        velocity: list of arrays, the momentum of each weight.
    """

    trainable: list
    fixed: list
    velocity: list


class MaskedNetwork:
    """The training step of a network with a mask on each kernel, compiled once for all masks.

    Masks and weights are arguments of what is compiled, so every row with fixed masks of one
    network, batch size and image size has the same executable: dense is a mask of ones.

    Args:
        network: str, of a `Setting`.
        image_size, classes: ints.
        precision: `"bfloat16"` or `"float32"`, in which convolutions compute.

    Attributes:
        traced: int, how often the step was traced for the compiler: once for each size of batch.
    """

    def __init__(self, network, image_size, classes, precision="bfloat16"):
        setting = Setting(network, "", "dense", image_size=image_size)
        model = build(setting, classes, sparsity=0, dtype=POLICIES[precision])
        layers = pruning.prunable_layers(model)
        ones = {name: np.ones(layer.kernel.shape, bool) for name, layer in layers.items()}
        self.model = pruning.apply_masks(model, ones)
        self.size, self.traced = image_size, 0
        self.train = jax.jit(self._train, donate_argnums=0)
        self.test = jax.jit(self._test)

    def _train(self, state, images, labels, mean, scale, l2, draws, rates):
        """Train on some batches of one size; return the state, and (losses, hits) of each step.

        Args:
            state: `State`; its buffers are used again for the new one.
            images: uint8 array (images, height, width, channels), padded.
            labels: int array (images,).
            mean, scale: float arrays (channels,); x -> (x - mean) * scale.
            l2: float array.
            draws: (order, top, left, mirrored), arrays (steps, batch).
            rates: float array (steps, 2), the learning rate inside and outside of the velocity:
                one of them is 1.
        """
        self.traced += 1

        def step(state, now):
            draw, (inside, outside) = now
            x = (cut(images, *draw, self.size).astype("float32") - mean) * scale
            y = labels[draw[0]]

            def loss_of(trainable):
                scores, fixed = self.model.stateless_call(trainable, state.fixed, x, training=True)
                losses = keras.losses.sparse_categorical_crossentropy(y, scores)
                return losses.mean(), (losses.sum(), hits(scores, y), fixed)

            (_, (loss, right, fixed)), gradients = jax.value_and_grad(loss_of, has_aux=True)(
                state.trainable
            )
            pairs = zip(state.velocity, gradients, state.trainable, strict=True)
            velocity = [MOMENTUM * v - inside * (slope + l2 * w) for v, slope, w in pairs]
            pairs = zip(state.trainable, velocity, strict=True)
            trainable = [w + outside * v for w, v in pairs]
            return State(trainable, list(fixed), velocity), (loss, right)

        return jax.lax.scan(step, state, (draws, rates))

    def _test(self, trainable, fixed, x, labels):
        """The sum of the losses, and the hits, of normalised images."""
        scores, _ = self.model.stateless_call(trainable, fixed, x, training=False)
        return keras.losses.sparse_categorical_crossentropy(labels, scores).sum(), hits(
            scores, labels
        )


def cut(images, chosen, top, left, mirrored, size):
    """Return crops of padded images, some of them mirrored, by one gather."""
    steps = jnp.arange(size)
    rows = top[:, None] + steps
    columns = left[:, None] + jnp.where(mirrored[:, None], size - 1 - steps, steps)
    return images[chosen[:, None, None], rows[:, :, None], columns[:, None, :]]


def hits(scores, labels):
    """Return how many labels have the highest score."""
    return (jnp.argmax(scores, axis=-1) == labels).sum()


class Training:
    """One training of a `MaskedNetwork` by the recipe of a setting.

    Args:
        network: `MaskedNetwork`.
        setting: `Setting`.
        data: `Dataset` of `experiment_data`.
        model: a float32 model with the masks and the initial weights, with the variables of
            `network.model`.

    Attributes:
        state: `State`.
    """

    def __init__(self, network, setting, data, model):
        self.network, self.setting = network, setting
        self.batches = training_batches(setting, data)
        self.steps, self._drawn = len(self.batches), (None, None)
        pad = self.batches.pad
        padded = np.pad(self.batches.x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
        constants = (padded, self.batches.y, self.batches.mean, self.batches.scale)
        self._constants = placed((*constants, np.float32(setting.l2)))
        rate = schedule(setting, self.steps)
        places = np.searchsorted(rate.boundaries, np.arange(setting.epochs * self.steps))
        rates = np.asarray(rate.values, "float32")[places]
        both = (rates, np.ones_like(rates))
        self.rates = np.stack(both if setting.velocity == "keras" else both[::-1], axis=1)
        self.place(state_of(model))

    def epoch(self, epoch):
        """Train for an epoch; return its mean loss and its accuracy."""
        sums = self.run(epoch, 0, self.steps)
        return tuple(float(np.sum(one)) / len(self.batches.x) for one in sums)

    def run(self, epoch, first, last):
        """Train on the batches from `first` to before `last`; return (losses, hits) of each.

        Losses are sums over the images of a batch. Batches of full size go in one call, a smaller
        last one in another.
        """
        draws = self._draws(epoch)
        rates = self.rates[epoch * self.steps :][first:last]
        size, images = self.batches.batch_size, len(self.batches.x)
        full = min(last, images // size)
        parts = [(first, full, size), (max(first, full), last, images % size)]
        found = []
        for begin, end, width in parts:
            if begin < end:
                now = [d[begin * size :][: (end - begin) * width] for d in draws]
                now = [d.reshape(end - begin, width) for d in now]
                arguments = (now, rates[begin - first : end - first])
                self.state, sums = self.network.train(self.state, *self._constants, *arguments)
                found.append(sums)
        if last == self.steps:
            self._draws(epoch + 1)  # while the device works
        found = jax.device_get(found)
        return [np.concatenate(column) for column in zip(*found, strict=True)]

    def _draws(self, epoch):
        """What an epoch draws; of the epoch that was asked for last it is kept."""
        if self._drawn[0] != epoch:
            self.batches.epoch = epoch
            self._drawn = epoch, self.batches.draws()
        return self._drawn[1]

    def test(self, batches):
        """Return the mean loss and the accuracy on the images of `Batches`."""
        sums = np.zeros(2)
        for x, y in map(batches.__getitem__, range(len(batches))):
            found = self.network.test(self.state.trainable, self.state.fixed, x, y)
            sums += [float(one) for one in found]
        return tuple(float(one) / len(batches.x) for one in sums)

    def place(self, state):
        """Make this the `State` of now, on the device that trains, wherever its arrays were."""
        self.state = placed(state)

    def put(self, model):
        """Give a model of the same variables the weights and statistics of now."""
        for variables, values in (
            (model.trainable_variables, self.state.trainable),
            (model.non_trainable_variables, self.state.fixed),
        ):
            for variable, value in zip(variables, values, strict=True):
                variable.assign(np.array(value))


def state_of(model):
    """Return the `State` of a model at the start, in arrays of its own."""
    trainable, fixed = (
        [np.array(variable.value) for variable in variables]
        for variables in (model.trainable_variables, model.non_trainable_variables)
    )
    return State(trainable, fixed, [np.zeros_like(one) for one in trainable])


def placed(arrays):
    """Return arrays on the device that trains."""
    return jax.device_put(arrays, jax.local_devices()[0])


def on_host():
    """In this block the CPU computes: many small programs, which a GPU would compile one by one."""
    return jax.default_device(jax.local_devices(backend="cpu")[0])
