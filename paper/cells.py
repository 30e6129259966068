"""One cell of a table or figure: which runs it needs, under which protocol."""

import dataclasses
import functools

from keras_ssc.applications._pattern_choice import half_pointwise
from keras_ssc.arguments import known
from keras_ssc.datasets.facts import FACTS
from keras_ssc.sparsity import choose_network, count_network
from paper.data import SIDES
from paper.networks import builder_and_options, ssc_options
from paper.pattern_settings import network_layers
from paper.setting import Setting

CLASSES = {name: facts.classes for name, facts in FACTS.items()} | {"tiny_imagenet_100": 100}


@dataclasses.dataclass(frozen=True)
class Cell:
    """One cell of a table.

    Args:
        network, dataset: str, of the paper.
        row: str, the method.
        column: str, what changes along a line of the table.
        settings: tuple of `Setting`, one for each seed; empty where it can't be run here.
        printed: str, the paper's figure, or "".
        past: bool, whether the row is shown for its old records and is not run any more.
    """

    network: str
    dataset: str
    row: str
    column: str
    settings: tuple
    printed: str = ""
    past: bool = False


# The small protocol: two cores. Smaller networks of the same kind on images of 16 x 16.
SMALL_NETWORK = {"ResNet32": "ResNet20", "VGG19": "VGG11"}
# What GraSP's recipe has otherwise than for CIFAR.
RECIPE = {
    "tiny_imagenet": {"epochs": 300},
    "tiny_imagenet_100": {"epochs": 300},
    "imagenet2012": {"epochs": 90, "batch_size": 256},
}


def base(protocol, network, dataset, /, **changes):
    """Return the `Setting` of a dense run under a protocol.

    Args:
        protocol: `"paper"` (GraSP's recipe) or `"small"` (10,000 images of 16 x 16, 8 epochs).
        network, dataset: str, of the paper.
        **changes: other fields.

    Example:

    >>> base("paper", "VGG19", "cifar10").epochs, base("small", "VGG19", "cifar10").network
    (160, 'VGG11')
    """
    known("protocol", protocol, ("paper", "small"))
    l2 = 5e-4 if "VGG" in network else 1e-4
    fields = {"network": network, "dataset": dataset, "method": "dense", "l2": l2}
    fields |= {"image_size": SIDES[dataset], **RECIPE.get(dataset, {})}
    if protocol == "small":
        # Stem, shortcuts and 100 classes alone are over 2 % of ResNet20: no 98 % there.
        if not (network == "ResNet32" and dataset == "cifar100"):
            fields["network"] = SMALL_NETWORK.get(network, network)
        fields |= {"epochs": 8, "batch_size": 128, "train_images": 10_000}
        fields["image_size"] //= 2
    return Setting(**fields | changes)


@functools.cache
def reached(setting):
    """Return the live weights of the SSC network of a setting, which the other methods keep.

    The classes are those of all images of the set.
    """
    options = ssc_options(setting)
    layers = _layers(setting, options)
    rules = {name: options.pop(name) for name in ("distribution", "parity") if name in options}
    if setting.sparsity:
        choice = choose_network(layers, sparsity=setting.sparsity, **rules)
    else:  # what compact networks take by themselves
        own = {layer.name: half_pointwise(layer) if layer.sparse else None for layer in layers}
        choice = count_network(layers, own)
    return round((1 - choice.sparsity) * sum(layer.dense_weight_count for layer in layers))


def dense_weights(setting):
    """Return the weights of all kernels of the dense network of a setting."""
    return sum(layer.dense_weight_count for layer in _layers(setting, {}))


def _layers(setting, options):
    options = {name: value for name, value in options.items() if name.startswith("sparse_")}
    builder, own = builder_and_options(setting.network)
    shape = (setting.image_size, setting.image_size, 3)
    return network_layers(builder, shape, CLASSES[setting.dataset], **own, **options)


def seeded(setting, seeds):
    """Return the setting once for each seed."""
    return tuple(dataclasses.replace(setting, seed=seed) for seed in seeds)
