"""How each method of the tables makes its network: one function (setting, data) each.

A function returns (model, callbacks): the model before training, and what changes it while it
trains.
"""

import keras

from keras_ssc import applications, pruning
from keras_ssc.datasets import Batches
from keras_ssc.layers import SSCConv2D
from keras_ssc.regularizers import DoubleSoftOrthogonality, SoftOrthogonality

# Changes of the paper's pattern, one word each: arguments of the builder.
VARIANTS = {
    "butterfly": {"set_offset": "butterfly"},
    "block": {"shift": "block"},
    "alternate": {"parity": "alternate"},
    "per_filter": {"distribution": "per_filter"},
    "shortcuts": {"sparse_shortcuts": True},
    "classifier": {"sparse_classifier": True},
    "fused": {"fused": True},
    "dense_scale": {},  # initial weights at the scale of the dense kernel
}
REGULARIZERS = {"SO": SoftOrthogonality, "DSO": DoubleSoftOrthogonality}
# Rewirings of a run: a run of 8 epochs has too few steps for one in 100.
REWIRINGS = 40
SAMPLES_PER_CLASS = 10
SYNFLOW_ROUNDS = 100


def build(setting, classes, **options):
    """Return the network of a setting with some builder's options, freshly drawn."""
    builder = getattr(applications, setting.network)
    shape = (setting.image_size, setting.image_size, 3)
    return builder(input_shape=shape, classes=classes, **options)


def dense(setting, data):
    """The dense twin, with a regularizer if the setting has one."""
    model = build(setting, data.classes, sparsity=0)
    if setting.regularizer:
        penalty = REGULARIZERS[setting.regularizer](setting.factor)
        for layer in model.layers:
            if isinstance(layer, keras.layers.Conv2D):
                layer.kernel.regularizer = penalty
    return model, []


def ssc(setting, data):
    """Structured sparse convolutions, as `variant` says."""
    model = build(setting, data.classes, **ssc_options(setting))
    if "dense_scale" in setting.variant.split("+"):
        for layer in model.layers:
            if isinstance(layer, SSCConv2D):
                for matrix in layer.trainable_variables:
                    matrix.assign(matrix * layer.pattern.density**0.5)
    return model, []


def ssc_options(setting):
    """Return the builder's options for an SSC network.

    Example:

    >>> from keras_ssc.experiments.setting import Setting
    >>> ssc_options(Setting("ResNet20", "digits", "ssc", "block+shortcuts", 0.9))
    {'shift': 'block', 'sparse_shortcuts': True, 'sparsity': 0.9}
    """
    options = {}
    for word in filter(None, setting.variant.split("+")):
        if word not in VARIANTS:
            raise ValueError(f"`variant` must be of {list(VARIANTS)}. Received: {word!r}")
        options |= VARIANTS[word]
    if setting.g is not None:
        return options | {"g": setting.g, "p": setting.p}
    return options | ({"sparsity": setting.sparsity} if setting.sparsity else {})


def masked(masks, interspace=False):
    """Return the method whose fixed masks `masks(model, setting, data)` gives."""

    def method(setting, data):
        model = build(setting, data.classes, sparsity=0)
        chosen = masks(model, setting, data)
        return pruning.apply_masks(model, chosen, interspace=interspace), []

    return method


def _budget(setting):
    if setting.keep is not None:
        return {"keep": setting.keep}
    return {"sparsity": setting.sparsity}


def _scored(score):
    """Masks by a score on a few images of each class, normalised as in training."""

    def masks(model, setting, data):
        x, y = pruning.samples_per_class(
            data.x_train, data.y_train, SAMPLES_PER_CLASS, setting.seed
        )
        x, y = Batches(x, y, len(x), mean=data.mean, std=data.std)[0]
        return score(model, x, y, **_budget(setting))

    return masks


def _drawn(draw):
    """Masks that are drawn at random."""
    return lambda model, setting, data: draw(model, **_budget(setting), seed=setting.seed)


def _magnitude(model, setting, data):
    return pruning.magnitude(model, **_budget(setting))


def _synflow(model, setting, data):
    return pruning.synflow(model, **_budget(setting), rounds=SYNFLOW_ROUNDS)


def rewired(make):
    """Return the method that starts from random ERK masks and changes them while training.

    `make(data, seed, update_every)` gives the callback.
    """

    def method(setting, data):
        model, _ = masked(_drawn(pruning.random_erk))(setting, data)
        images = len(data.x_train)
        steps = setting.epochs * -(-images // setting.batch_size)
        whole = Batches(data.x_train, data.y_train, images, mean=data.mean, std=data.std)[0]
        return model, [make(whole, setting.seed, max(1, int(0.75 * steps) // REWIRINGS))]

    return method


def _set(data, seed, update_every):
    return pruning.SET(update_every=update_every, seed=seed)


def _dsr(data, seed, update_every):
    return pruning.DSR(update_every=update_every, seed=seed)


def _deep_r(data, seed, update_every):
    return pruning.DeepR(update_every=update_every, seed=seed)


def _rigl(data, seed, update_every):
    return pruning.RigL(data, update_every=update_every, seed=seed)


METHODS = {
    "dense": dense,
    "ssc": ssc,
    "random uniform": masked(_drawn(pruning.random_uniform)),
    "random ERK": masked(_drawn(pruning.random_erk)),
    "smart ratio": masked(_drawn(pruning.smart_ratio)),
    "magnitude": masked(_magnitude),
    "SNIP": masked(_scored(pruning.snip)),
    "GraSP": masked(_scored(pruning.grasp)),
    "SynFlow": masked(_synflow),
    "SET": rewired(_set),
    "RigL": rewired(_rigl),
    "DSR": rewired(_dsr),
    "Deep-R": rewired(_deep_r),
    "IP-SNIP": masked(_scored(pruning.snip), interspace=True),
    "IP-GraSP": masked(_scored(pruning.grasp), interspace=True),
    "IP-SynFlow": masked(_synflow, interspace=True),
}
