"""The networks of the tables: dense, or with structured sparse convolutions."""

from typing import NamedTuple

import keras
import numpy as np

from keras_ssc import applications
from keras_ssc.layers import SSCConv2D
from keras_ssc.model_graph import flat_layers
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
    "dense_scale": {"initial_scale": "dense"},
    "mixing": {"mixing": True},
}
# Networks of the experiments that a builder makes with options of its own.
WITH_OPTIONS = {"VGG11(pools=3)": ("VGG11", {"pools": 3})}
REGULARIZERS = {"SO": SoftOrthogonality, "DSO": DoubleSoftOrthogonality}


class Start(NamedTuple):
    """Where a run's own training begins.

    Args:
        model: `keras.Model`.
        callbacks: what changes the model while it trains.
        epoch: int, epochs of the recipe that the model has behind it.
    """

    model: keras.Model
    callbacks: tuple = ()
    epoch: int = 0


def build(setting, classes, **options):
    """Return the network of a setting with some builder's options, freshly drawn."""
    builder, own = builder_and_options(setting.network)
    shape = (setting.image_size, setting.image_size, 3)
    return getattr(applications, builder)(input_shape=shape, classes=classes, **own, **options)


def builder_and_options(network):
    """Return (name in `keras_ssc.applications`, options) of the network of a setting.

    Example:

    >>> builder_and_options("VGG11"), builder_and_options("VGG11(pools=3)")
    (('VGG11', {}), ('VGG11', {'pools': 3}))
    """
    return WITH_OPTIONS.get(network, (network, {}))


def dense(setting, data):
    """The dense counterpart, with a regularizer if the setting has one."""
    model = build(setting, data.classes, sparsity=0)
    if setting.regularizer:
        penalty = REGULARIZERS[setting.regularizer](setting.factor)
        for layer in model.layers:
            if isinstance(layer, keras.layers.Conv2D):
                layer.kernel.regularizer = penalty
    return Start(model)


def ssc(setting, data):
    """Structured sparse convolutions, as `variant` says."""
    return Start(build(setting, data.classes, **ssc_options(setting)))


def ssc_options(setting):
    """Return the builder's options for an SSC network.

    Example:

    >>> from paper.setting import Setting
    >>> ssc_options(Setting("ResNet20", "digits", "ssc", "block+shortcuts", 0.9))
    {'distribution': 'uniform', 'initial_scale': 'live', 'shift': 'block', \
'sparse_shortcuts': True, 'sparsity': 0.9}
    """
    options = {"distribution": "uniform", "initial_scale": "live"}
    for word in filter(None, setting.variant.split("+")):
        if word not in VARIANTS:
            raise ValueError(f"`variant` must be of {list(VARIANTS)}. Received: {word!r}")
        options |= VARIANTS[word]
    if setting.g is not None:
        return options | {"g": setting.g, "p": setting.p}
    return options | ({"sparsity": setting.sparsity} if setting.sparsity else {})


def budget(setting):
    """Return what the methods of `keras_ssc.pruning` are given: `keep` or `sparsity`."""
    if setting.keep is not None:
        return {"keep": setting.keep}
    return {"sparsity": setting.sparsity}


def filter_norms(model):
    """Return {layer name: mean over the filters of the sum of their squared weights}.

    Of all convolutions and Dense layers; pruned weights count as 0.

    Example:

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, name="one")])
    >>> model.layers[0].kernel.assign([[3.0], [1.0]]) is None or filter_norms(model)
    {'one': 10.0}
    """
    norms = {}
    for layer in flat_layers(model):
        if isinstance(layer, (keras.layers.Conv2D, keras.layers.Dense, SSCConv2D)):
            live = getattr(layer, "live_kernel", lambda layer=layer: layer.kernel)()
            kernel = keras.ops.convert_to_numpy(keras.ops.cast(live, "float32"))
            squares = np.square(kernel.astype("float64")).reshape(-1, kernel.shape[-1])
            norms[layer.name] = float(squares.sum(axis=0).mean())
    return norms
