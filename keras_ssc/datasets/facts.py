"""What is known of the image sets before they are loaded: sizes, counts, statistics."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Facts:
    """Facts of an image set.

    Args:
        side: int, pixels a side; of ImageNet, of the crops.
        classes: int.
        train_images, test_images: int.
        mean, std: three floats each, of the training images scaled to [0, 1], as in GraSP's code;
            None: computed from the images.
        flip: bool, whether a mirrored image still shows its class.

    Example:

    >>> FACTS["cifar10"].input_shape
    (32, 32, 3)
    """

    side: int
    classes: int
    train_images: int
    test_images: int
    mean: tuple | None
    std: tuple | None
    flip: bool = True

    @property
    def input_shape(self):
        """(height, width, channels) of an image."""
        return (self.side, self.side, 3)


FACTS = {
    "digits": Facts(32, 10, 1437, 360, None, None, flip=False),
    "cifar10": Facts(32, 10, 50_000, 10_000, (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
    "cifar100": Facts(32, 100, 50_000, 10_000, (0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
    "tiny_imagenet": Facts(
        64, 200, 100_000, 10_000, (0.480246, 0.448072, 0.397548), (0.276986, 0.269064, 0.282082)
    ),
    "imagenet2012": Facts(
        224, 1000, 1_281_167, 50_000, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    ),
}
