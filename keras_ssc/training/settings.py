"""All settings of one training, checked at the door."""

import dataclasses
import math

from keras_ssc import applications
from keras_ssc.arguments import known

# GraSP's recipe; the digits are few and easy, and there a short run with small batches does.
_RECIPES = {
    "digits": {"epochs": 6, "batch_size": 16, "learning_rate": 0.02},
    "cifar10": {"epochs": 160, "batch_size": 128, "learning_rate": 0.1},
    "cifar100": {"epochs": 160, "batch_size": 128, "learning_rate": 0.1},
}


@dataclasses.dataclass(frozen=True)
class Settings:
    """What makes a training: network, data, recipe, seed.

    Args:
        model: str, a builder of `keras_ssc.applications`.
        sparsity: float in [0, 1) or None, as for the builder.
        g, p: int or None, as for the builder.
        dataset: str, a name of `keras_ssc.datasets`.
        data_dir: str or None, see `keras_ssc.datasets.load`.
        epochs, batch_size: int, None for the recipe's.
        learning_rate: float, None for the recipe's; x0.1 at 50 % and at 75 % of the steps.
        momentum: float.
        l2: float, coupled L2 on every variable; None: 5e-4 for VGG, 1e-4 for the others.
        seed: int, for weights, order and augmentation.
        limit: int or None, use only so many training and test images.
        execution: as for `SSCConv2D`.
        jit_compile: True, False or "auto", as for `Model.compile`.

    Raises:
        ValueError, TypeError: a setting is out of range; the message names it.

    Example:

    >>> settings = Settings(dataset="cifar10")
    >>> settings.epochs, settings.learning_rate, settings.l2
    (160, 0.1, 0.0001)

    Reference: GraSP's recipe, which the paper uses (section 4).
    """

    model: str = "ResNet32"
    sparsity: float | None = None
    g: int | None = None
    p: int | None = None
    dataset: str = "digits"
    data_dir: str | None = None
    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    momentum: float = 0.9
    l2: float | None = None
    seed: int = 0
    limit: int | None = None
    execution: str = "auto"
    jit_compile: bool | str = "auto"

    def __post_init__(self):
        known("model", self.model, applications.__all__)
        known("dataset", self.dataset, _RECIPES)
        recipe = _RECIPES[self.dataset] | {"l2": 5e-4 if "VGG" in self.model else 1e-4}
        if self.sparsity is None and self.g is None and self.p is None:
            recipe["sparsity"] = 0.9
        for name, value in recipe.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)
        for name in ("epochs", "batch_size", "limit"):
            _whole(name, getattr(self, name), 1, optional=name == "limit")
        _whole("seed", self.seed, 0)
        for name in ("learning_rate", "momentum", "l2"):
            _number(name, getattr(self, name))
        if self.learning_rate == 0:
            raise ValueError("`learning_rate` must be above 0. Received: learning_rate=0")


def _whole(name, value, minimum, optional=False):
    if optional and value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
        raise ValueError(
            f"`{name}` must be an integer of at least {minimum}. Received: {name}={value!r}"
        )


def _number(name, value):
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or value < 0:
        raise ValueError(f"`{name}` must be a number of at least 0. Received: {name}={value!r}")
