"""Rivals with masks: drawn or scored before training, or changed while it goes on."""

import numpy as np

from keras_ssc import pruning
from paper.inputs import images_per_class, sampled, steps_per_epoch
from paper.networks import Start, budget, build

SYNFLOW_ROUNDS = 100
# Rewirings of a run: a run of 8 epochs has too few steps for one in 100.
REWIRINGS = 40
# Pixels that are scored at once: 512 images of CIFAR, 128 of Tiny-ImageNet, 10 of ImageNet (GraSP's
# code takes 500, 200 and 20).
PIXELS = 2**19


def masked(masks, interspace=False):
    """Return the method whose fixed masks `masks(model, setting, data)` gives.

    The method takes a further pair (setting, data) where the masks are made on another image set:
    there by a network of the same kernels with weights of its own. Only the masks are carried over.
    """

    def method(setting, data, source=None):
        model = build(setting, data.classes, sparsity=0)
        if source is None:
            chosen = masks(model, setting, data)
        else:
            chosen = masks(build(source[0], source[1].classes, sparsity=0), *source)
        return Start(pruning.apply_masks(model, chosen, interspace=interspace))

    return method


def scored(score):
    """Masks by a score on a few images of each class, normalised as in training."""

    def masks(model, setting, data):
        x, y = sampled(setting, data, images_per_class(setting))
        chunk = max(1, PIXELS // setting.image_size**2)
        return score(model, x, y, **budget(setting), batch_size=chunk)

    return masks


def drawn(draw):
    """Masks that are drawn at random."""
    return lambda model, setting, data: draw(model, **budget(setting), seed=setting.seed)


def magnitude(model, setting, data):
    """Masks of the largest initial weights."""
    return pruning.magnitude(model, **budget(setting))


def synflow(model, setting, data):
    """Masks by the flow of an image of ones."""
    return pruning.synflow(model, **budget(setting), rounds=SYNFLOW_ROUNDS)


def rewired(rewiring):
    """Return the method that starts from random ERK masks and changes them while training.

    Args:
        rewiring: class of `keras_ssc.pruning`.
    """

    def method(setting, data):
        model, *_ = masked(drawn(pruning.random_erk))(setting, data)
        images = [sampled(setting, data)] if rewiring is pruning.RigL else []
        options = {"update_every": update_every(setting, data, 0.75), "seed": setting.seed}
        return Start(model, (rewiring(*images, **options),))

    return method


def gradual(setting, data):
    """Gradual magnitude pruning: dense at the start, at the budget after half of the training."""
    model = build(setting, data.classes, sparsity=0)
    weights = pruning.live_weights(model)
    sparsity = setting.sparsity if setting.keep is None else 1 - setting.keep / weights
    layers = pruning.prunable_layers(model)
    everything = {name: np.ones(layer.kernel.shape, bool) for name, layer in layers.items()}
    every = update_every(setting, data, 0.5)
    callback = pruning.GradualMagnitude(sparsity, update_every=every, stop=0.5)
    return Start(pruning.apply_masks(model, everything), (callback,))


def update_every(setting, data, stop):
    """Return the steps from one change of the masks to the next: `REWIRINGS` until `stop`."""
    steps = setting.epochs * steps_per_epoch(setting, data)
    return max(1, int(stop * steps) // REWIRINGS)
