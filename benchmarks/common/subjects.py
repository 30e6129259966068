"""What is measured: the six networks of the paper at its settings, sizes and batches."""

import sys
from dataclasses import dataclass
from pathlib import Path

from keras_ssc import applications

sys.path.append(str(Path(__file__).resolve().parents[2]))  # `paper` is in no wheel

from paper.pattern_settings import paper_cell


@dataclass(frozen=True)
class Subject:
    """One network at one image size.

    Args:
        builder: str, of `keras_ssc.applications`.
        images: dict, the builder's `input_shape` and `classes`.
        sparse: dict, name of a setting -> further arguments of the builder.
        batches: tuple of ints.
        others: dict, arguments of dense and sparse networks alike.
    """

    builder: str
    images: dict
    sparse: dict
    batches: tuple
    others: dict = None

    def build(self, **arguments):
        """Return the network; `sparsity=0` is the dense one."""
        return getattr(applications, self.builder)(
            **self.images, **(self.others or {}), **arguments
        )


def _in_paper(dataset, builder, sparsities, batches):
    sparse = {}
    for sparsity in sparsities:
        cell = paper_cell(f"{builder}-{dataset}-{sparsity}").arguments
        images = {name: cell.pop(name) for name in ("input_shape", "classes")}
        sparse[str(sparsity)] = cell
    return Subject(builder, images, sparse, batches)


def _pointwise(builder, side, classes, batches):
    # Without a sparsity the builder takes the paper's g = 0, p = 2.
    images = {"input_shape": (side, side, 3), "classes": classes}
    return Subject(builder, images, {"(0, 2)": {}}, batches)


SMALL, LARGE = (1, 8, 128), (1, 16)
SUBJECTS = {
    "ResNet32": _in_paper("cifar10", "ResNet32", (0.9, 0.95, 0.98), SMALL),
    "VGG19": _in_paper("cifar10", "VGG19", (0.9, 0.95, 0.98), SMALL),
    "ResNet18": _in_paper("imagenet", "ResNet18", (0.75,), LARGE),
    "ResNet50": _in_paper("imagenet", "ResNet50", (0.8,), LARGE),
    "MobileNetV2": _pointwise("MobileNetV2", 32, 10, SMALL),
    "ShuffleNetV2": _pointwise("ShuffleNetV2", 32, 10, SMALL),
    "MobileNetV2-224": _pointwise("MobileNetV2", 224, 1000, LARGE),
    "ShuffleNetV2-224": _pointwise("ShuffleNetV2", 224, 1000, LARGE),
}
