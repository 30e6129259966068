"""One run of an experiment, and the name that its settings give it."""

import dataclasses
import hashlib
import json


@dataclasses.dataclass(frozen=True)
class Setting:
    """Everything that decides the outcome of one run, the machine apart.

    Args:
        network: str, a builder of `keras_ssc.applications`, or "VGG11(pools=3)": VGG11 without its
            last maximum.
        dataset: str, a name of `keras_ssc.datasets`, "tiny_imagenet_100" (its every second
            class) or "imagenet2012".
        method: str, a key of `paper.METHODS`.
        variant: str, words of `paper.VARIANTS` joined by "+", for method "ssc";
            "equal_norm" for a method with masks: its layers start with the norms of "SSC".
        sparsity: float in [0, 1), the wanted network sparsity.
        keep: int or None, live weights of Conv and Dense kernels that other methods keep; None: by
            `sparsity`.
        g, p: int or None, one setting for all sparse layers in place of `sparsity` (method "ssc").
        regularizer: None, "SO" or "DSO" on the kernels of all convolutions.
        factor: float, lambda of the regularizer.
        epochs, batch_size: int.
        learning_rate, l2: float; x0.1 at 50 % and at 75 % of the steps (of imagenet2012 at each
            third); coupled L2.
        image_size: int; larger images are averaged over squares.
        train_images: int or None, the first so many training images; None: all.
        train_share: float in (0, 1], the share of these that is used, class by class.
        held_out: int; above 0: tested on so many of the last training images, not on the test set.
        mask_dataset: str or None, the image set on which the masks are scored, by a network at
            the same scale; None: `dataset`.
        seed: int, for weights, masks, order and augmentation.
        velocity: `"pytorch"`, as GraSP's code has it: the learning rate is no part of the velocity;
            or `"keras"`: it is, so that the steps behind a drop of the rate are still long ones.

    Example:

    >>> setting = Setting("ResNet20", "digits", "dense")
    >>> setting.key == Setting("ResNet20", "digits", "dense").key, len(setting.key)
    (True, 12)
    """

    network: str
    dataset: str
    method: str
    variant: str = ""
    sparsity: float = 0.0
    keep: int | None = None
    g: int | None = None
    p: int | None = None
    regularizer: str | None = None
    factor: float = 0.0
    epochs: int = 160
    batch_size: int = 128
    learning_rate: float = 0.1
    l2: float = 1e-4
    image_size: int = 32
    train_images: int | None = None
    train_share: float = 1.0
    held_out: int = 0
    mask_dataset: str | None = None
    seed: int = 0
    velocity: str = "keras"

    @property
    def key(self):
        """Twelve letters and digits that only these settings have."""
        text = json.dumps(self.as_dict(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def as_dict(self):
        """Return the fields; without `velocity` where it is that of the first records."""
        fields = dataclasses.asdict(self)
        if self.velocity == "keras":
            del fields["velocity"]
        return fields

    def __str__(self):
        """The words that tell it from its neighbours."""
        words = [self.network, self.dataset, self.method, self.variant]
        words.append(f"{self.sparsity:g}" if self.sparsity else "")
        words.append(f"({self.g}, {self.p})" if self.g is not None else "")
        words.append(f"{self.regularizer} {self.factor:g}" if self.regularizer else "")
        words.append("" if self.train_share == 1 else f"{self.train_share:g} of the images")
        words.append(f"masks of {self.mask_dataset}" if self.mask_dataset else "")
        words.append("" if self.learning_rate == 0.1 else f"rate {self.learning_rate:g}")
        words.append("" if self.velocity == "keras" else f"velocity of {self.velocity}")
        words += ["held out" if self.held_out else "", f"seed {self.seed}"]
        return " ".join(word for word in words if word)
