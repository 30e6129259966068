"""Methods that train a network before they prune it: lottery tickets, OBD, MLPrune, filters.

OBD, MLPrune and the filters are trained dense, pruned once, and what is left is trained again with
the same recipe from its first learning rate (learning-rate rewinding, Renda et al., arXiv
2003.02389). AutoSlim trains many widths at once, for a part of the epochs, and then the network of
the widths found, from new weights.
"""

import dataclasses
import math

from keras_ssc import pruning
from paper.fit import fit
from paper.inputs import images_per_class, sampled
from paper.networks import Start, budget, build

# Of the live weights, removed after each training of a lottery ticket.
SHARE = 0.2
HALVINGS = 10
# MLPrune takes that many times as many images as OBD: 2,000 of CIFAR-10's.
IMAGES_OF_OBD = 20
REWIND = {"lottery ticket (init)": False, "lottery ticket (epoch 5)": True}
# AutoSlim's slimmable network: its share of the epochs, with four passes a step; and how many
# of the training images the search has, at most, and at most which share.
SLIMMABLE_EPOCHS = 0.15
SEARCH_IMAGES, SEARCH_SHARE = 5000, 0.2
TWICE = ("OBD", "MLPrune", "L1 filters", "Slimming")


def trainings(setting):
    """Return how many complete trainings a run takes.

    Example:

    >>> from paper.setting import Setting
    >>> trainings(Setting("VGG19", "cifar10", "lottery ticket (init)", sparsity=0.9))
    12
    """
    if setting.method in REWIND and setting.sparsity:
        return 1 + max(1, math.ceil(math.log(1 - setting.sparsity) / math.log(1 - SHARE)))
    if setting.method == "AutoSlim":
        return 1 + 4 * SLIMMABLE_EPOCHS
    return 2 if setting.method in TWICE else 1


def rewind_epoch(epochs):
    """Return the epoch to which the late ticket is rewound: 5, of short runs an eighth.

    Example:

    >>> [rewind_epoch(epochs) for epochs in (160, 300, 8, 2, 1)]
    [5, 5, 1, 1, 0]
    """
    return min(5, max(1, epochs // 8), epochs - 1)


def lottery_ticket(setting, data):
    """A lottery ticket, rewound to its initial weights or to those of an early epoch."""
    start = rewind_epoch(setting.epochs) if REWIND[setting.method] else 0

    def train(model):
        fit(model, setting, data, first=start)

    def warm_up(model):
        fit(model, setting, data, last=start)

    model = pruning.lottery_ticket(
        build(setting, data.classes, sparsity=0),
        train,
        **budget(setting),
        share=SHARE,
        warm_up=warm_up if start else None,
    )
    return Start(model, epoch=start)


def optimal_brain_damage(setting, data):
    """Optimal Brain Damage, in one cycle."""
    model = build(setting, data.classes, sparsity=0)
    fit(model, setting, data)
    x, _ = sampled(setting, data, images_per_class(setting))
    return Start(
        pruning.apply_masks(model, pruning.obd(model, x, **budget(setting), seed=setting.seed))
    )


def mlpruned(setting, data):
    """MLPrune, in one cycle. The widest layers see 4,608 values, so many images are needed."""
    model = build(setting, data.classes, sparsity=0)
    fit(model, setting, data)
    x, _ = sampled(setting, data, IMAGES_OF_OBD * images_per_class(setting))
    masks = pruning.mlprune(model, x, **budget(setting), seed=setting.seed)
    return Start(pruning.apply_masks(model, masks))


def l1_filters(setting, data):
    """The filters of smallest L1 norm removed, as many of each layer."""
    model = build(setting, data.classes, sparsity=0)
    fit(model, setting, data)

    def cut(fraction):
        return pruning.remove_filters(model, pruning.l1_filters(model, fraction))

    return Start(largest_within(setting, model, cut))


def network_slimming(setting, data):
    """Network Slimming: the channels of smallest scale removed, of all layers together."""
    strength = 1e-4 if "VGG" in setting.network else 1e-5
    model = pruning.slimming(build(setting, data.classes, sparsity=0), strength)
    fit(model, setting, data)
    small = largest_within(setting, model, lambda fraction: pruning.slim(model, fraction))
    return Start(pruning.slimming(small, 0))


def auto_slimmed(setting, data):
    """AutoSlim: the search has training images that the slimmable network did not see."""
    images = min(SEARCH_IMAGES, round(SEARCH_SHARE * len(data.x_train)))
    first, last = (
        dataclasses.replace(data, x_train=data.x_train[part], y_train=data.y_train[part])
        for part in (slice(None, -images), slice(-images, None))
    )
    short = dataclasses.replace(setting, epochs=max(1, round(SLIMMABLE_EPOCHS * setting.epochs)))
    model = build(setting, data.classes, sparsity=0)
    keep = weights_kept(setting, model)

    def progress(weights, keep):
        print(f"{setting}  search: {weights:,} weights, at most {keep:,} wanted", flush=True)

    narrow = pruning.autoslim(
        model, lambda wide: fit(wide, short, first), *sampled(setting, last), keep,
        seed=setting.seed, progress=progress,
    )  # fmt: skip
    return Start(narrow)


def weights_kept(setting, model):
    """Return how many weights of a dense model a setting keeps."""
    if setting.keep is not None:
        return setting.keep
    return round((1 - setting.sparsity) * pruning.live_weights(model))


def largest_within(setting, model, cut):
    """Return the largest network `cut(fraction)` that has no more weights than the budget.

    Complete filters seldom meet a budget to one weight: the network stays a little below it.
    """
    keep = weights_kept(setting, model)
    low, high, best = 0.0, 1.0, None
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        small = cut(middle)
        if pruning.live_weights(small) > keep:
            low = middle
        else:
            high, best = middle, small
    if best is None:
        raise ValueError(
            f"`keep` is less than complete filters of {setting.network} can leave. Received: {keep}"
        )
    return best
