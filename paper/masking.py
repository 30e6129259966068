"""Methods with masks: drawn or scored before training, or changed during it."""

import dataclasses

import numpy as np

from keras_ssc import pruning
from paper.inputs import images_per_class, sampled, steps_per_epoch
from paper.networks import Start, budget, build, filter_norms, ssc_options

SYNFLOW_ROUNDS = 100
EQUAL_NORM = "equal_norm"  # variant of a setting with masks
# Changes of the masks in a run of the rows "40 updates", and in one that is shorter than a period.
UPDATES = 40
# Optimizer steps from one change to the next, as published; None: an epoch. SET's code changes at
# each epoch's end but the last, RigL's every 100 steps until 75 % of the training, DSR's every 100
# to 800, Deep R's each step; the callbacks' other defaults are theirs too.
PERIODS = {pruning.SET: None, pruning.RigL: 100, pruning.DSR: 100, pruning.DeepR: 1}
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
        model = pruning.apply_masks(model, chosen, interspace=interspace)
        if setting.variant == EQUAL_NORM:
            equalize(model, setting, data.classes)
        return Start(model)

    return method


def equalize(model, setting, classes):
    """Scale the kernel of each layer, so that its filters start as large as those of "SSC".

    Behind BatchNormalization the scale of a kernel is a learning rate: w -> c w is the rate / c^2
    for it. Rows with masks of their own and one norm compare the masks.

    Args:
        model: a model of `apply_masks`; changed in place.
        setting: `Setting`.
        classes: int.
    """
    ssc = dataclasses.replace(setting, method="ssc", variant="per_filter+dense_scale")
    wanted = filter_norms(build(ssc, classes, **ssc_options(ssc)))
    layers = pruning.prunable_layers(model)
    for name, own in filter_norms(model).items():
        if own:
            kernel = layers[name].kernel
            kernel.assign(kernel * (wanted[name] / own) ** 0.5)


def scored(score):
    """Masks by a score on a few images of each class, normalised as in training."""

    def masks(model, setting, data):
        x, y = sampled(setting, data, images_per_class(setting))
        chunk = max(1, PIXELS // setting.image_size**2)
        return score(model, x, y, **budget(setting), batch_size=chunk)

    return masks


def class_sorted_grasp(model, setting, data):
    """GraSP's masks as its code makes them, which the article does not tell in full.

    The classifier is drawn anew for the scores, and the images, ordered by class, go in two halves,
    each normalised by itself (of Tiny-ImageNet and ImageNet in more parts, for their size).
    """
    x, y = sampled(setting, data, images_per_class(setting))
    order = np.argsort(y, kind="stable")
    at_once = min(-(-len(y) // 2), max(1, PIXELS // setting.image_size**2))
    own = {"redraw_dense": True, "seed": setting.seed, "batch_size": at_once}
    return pruning.grasp(model, x[order], y[order], **budget(setting), **own)


def drawn(draw):
    """Masks that are drawn at random."""
    return lambda model, setting, data: draw(model, **budget(setting), seed=setting.seed)


def magnitude(model, setting, data):
    """Masks of the largest initial weights."""
    return pruning.magnitude(model, **budget(setting))


def synflow(model, setting, data):
    """Masks by the flow of an image of ones."""
    return pruning.synflow(model, **budget(setting), rounds=SYNFLOW_ROUNDS)


def synflow_dense_shortcuts(model, setting, data):
    """The same, but 1x1 shortcuts stay dense: beside two convolutions they lose all they have."""
    shortcuts = [name for name in pruning.prunable_layers(model) if "shortcut" in name]
    return pruning.synflow(model, **budget(setting), dense=shortcuts, rounds=SYNFLOW_ROUNDS)


def rewired(rewiring, published=False):
    """Return the method that starts from random ERK masks and changes them while training.

    Args:
        rewiring: class of `keras_ssc.pruning`.
        published: bool. True: on the schedule of its authors; False: `UPDATES` times until 75 % of
            the training, as the first records were made.
    """

    def method(setting, data):
        model, *_ = masked(drawn(pruning.random_erk))(setting, data)
        images = [sampled(setting, data)] if rewiring is pruning.RigL else []
        every = update_every(setting, data, 0.75)
        if published:
            every = published_period(rewiring, setting, data)
        return Start(model, (rewiring(*images, update_every=every, seed=setting.seed),))

    return method


def published_period(rewiring, setting, data):
    """Return the authors' steps between two updates; fewer where the run is shorter than that."""
    period = PERIODS[rewiring] or steps_per_epoch(setting, data)
    short = 0.75 * setting.epochs * steps_per_epoch(setting, data) < period
    return update_every(setting, data, 0.75) if short else period


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
    """Return the steps from one change of the masks to the next: `UPDATES` until `stop`."""
    steps = setting.epochs * steps_per_epoch(setting, data)
    return max(1, int(stop * steps) // UPDATES)
