"""All settings of one training, checked at the door: network, data, recipe, devices."""

import dataclasses
import json
from pathlib import Path

import keras

from keras_ssc import applications, datasets
from keras_ssc.arguments import integer, known, number

# GraSP's recipe; the digits are few and easy, and there a short run with small batches does.
_GRASP = {"epochs": 160, "batch_size": 128, "learning_rate": 0.1}
_RECIPES = {
    "digits": {"epochs": 6, "batch_size": 16, "learning_rate": 0.02},
    "cifar10": _GRASP,
    "cifar100": _GRASP,
    "tiny_imagenet": _GRASP | {"epochs": 300},
    "imagenet2012": _GRASP | {"epochs": 90, "batch_size": 256},
}
_OTHERS = {"epochs": 30, "batch_size": 32, "learning_rate": 0.05}
# Fields that do not change what is learnt: a run may resume with others.
MACHINE = ("data_dir", "devices", "address", "processes", "process")
# Fields of the first version; a later one counts where it is not its default, so that runs of
# earlier versions resume.
_FIRST = (
    *("model", "sparsity", "g", "p", "dataset", "data_dir", "epochs", "batch_size"),
    *("learning_rate", "momentum", "l2", "seed", "limit", "execution", "jit_compile"),
)


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """What makes a training.

    Args:
        model: str, a builder of `keras_ssc.applications`.
        sparsity: float in [0, 1) or None, of the network; 0.9 without g and p.
        g: int or None, every g-th channel carries a KxK kernel; with p.
        p: int or None, every p-th other channel carries a 1x1 weight; with g.
        dataset: str, a known set; `tfds:NAME`, any set of tensorflow-datasets; or a folder with one
            sub-folder of images for each class. Sets in memory are shifted and mirrored, the others
            are streamed, with random crops.
        data_dir: str or None, folder of tensorflow-datasets, or of a packed set.
        epochs: int, None for the recipe's.
        batch_size: int, images for one update of the weights, on all devices together; None for the
            recipe's.
        learning_rate: float, at the start, None for the recipe's; x0.1 at 50 % and at 75 % of the
            steps.
        momentum: float.
        l2: float, coupled L2 on every variable; None: 5e-4 for VGG, 1e-4 for the others.
        seed: int, for weights, order and augmentation.
        limit: int or None, use at most this many training and test images.
        execution: str, how the sparse layers compute, as for `SSCConv2D`.
        jit_compile: True, False or `"auto"`, compile with XLA, as for `Model.compile`.
        image_size: int, height and width of the crops of streamed images.
        validation_split: float in (0, 1), share of a folder's images to test on, where it has no
            sub-folders `train` and `val`.
        test_split: str, split of a `tfds:` set to test on; None: validation, else test.
        bf16: bool, compute in bfloat16, keep weights in float32.
        accumulate: int, add the gradients of this many pieces of a batch before an update (JAX, in
            `train_distributed`). BatchNormalization sees a piece at a time.
        devices: int, of one process, for `train_distributed`; None: all.
        address: str, host:port of process 0; one process needs none.
        processes: int, how many processes train together (JAX).
        process: int from 0, which one this is.

    Raises:
        ValueError, TypeError: a setting is out of range or can't go with another; the message
            names it.

    Example:

    >>> config = TrainingConfig(dataset="cifar10")
    >>> config.epochs, config.learning_rate, config.l2
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
    image_size: int = 224
    validation_split: float = 0.2
    test_split: str | None = None
    bf16: bool = False
    accumulate: int = 1
    devices: int | None = None
    address: str | None = None
    processes: int = 1
    process: int = 0

    def __post_init__(self):
        known("model", self.model, applications.__all__)
        self._check_dataset()
        recipe = _RECIPES.get(self.dataset, _OTHERS) | {"l2": 5e-4 if "VGG" in self.model else 1e-4}
        if self.sparsity is None and self.g is None and self.p is None:
            recipe["sparsity"] = 0.9
        for name, value in recipe.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)
        for name in ("epochs", "batch_size", "accumulate", "processes", "image_size"):
            integer(name, getattr(self, name), 1)
        if self.limit is not None:
            integer("limit", self.limit, 1)
        integer("seed", self.seed, 0)
        for name in ("learning_rate", "momentum", "l2"):
            number(name, getattr(self, name), 0)
        if self.learning_rate == 0:
            raise ValueError("`learning_rate` must be above 0. Received: learning_rate=0")
        if self.accumulate > 1 and keras.backend.backend() == "tensorflow":
            raise ValueError(
                "`accumulate` > 1 needs KERAS_BACKEND=jax: Keras's accumulation does not run under "
                f"MirroredStrategy. Received: accumulate={self.accumulate}"
            )
        if self.processes > 1 and self.devices is not None:
            raise ValueError(
                "`devices` can't be chosen with several processes: all are used. "
                f"Received: devices={self.devices}, processes={self.processes}"
            )

    def _check_dataset(self):
        name = self.dataset
        if isinstance(name, str):
            name = name.removeprefix("tfds:") if name.removeprefix("tfds:") in _RECIPES else name
            folder = Path(name).expanduser()
            if name not in _RECIPES and not name.startswith("tfds:") and folder.is_dir():
                name = str(folder.resolve())
            if name in _RECIPES or name.startswith("tfds:") or folder.is_dir():
                object.__setattr__(self, "dataset", name)
                return
        raise ValueError(
            f"`dataset` must be one of {tuple(_RECIPES)}, tfds:NAME, or a folder of images. "
            f"Received: dataset={name!r}"
        )

    @property
    def streamed(self):
        """Whether the images are read from disk while training."""
        return self.dataset not in datasets.names()

    def build(self, input_shape, classes):
        """Return the network, not compiled."""
        return getattr(applications, self.model)(
            input_shape=input_shape,
            classes=classes,
            sparsity=self.sparsity,
            g=self.g,
            p=self.p,
            execution=self.execution,
            dtype="mixed_bfloat16" if self.bf16 else None,
        )

    def learnt(self):
        """Return the fields that decide what is learnt, as a dict that JSON can hold."""
        return {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name not in MACHINE
            and (field.name in _FIRST or getattr(self, field.name) != field.default)
        }

    def run_name(self):
        """Return what the checkpoints of a run are called; a checkpoint of another is refused.

        A folder of images may move: its place is no part of the name.
        """
        place = {"dataset": "folder"} if is_folder(self.dataset) else {}
        return json.dumps(self.learnt() | {"data_dir": None} | place, sort_keys=True)


def is_folder(dataset):
    """Return whether the `dataset` of a config is a folder of images.

    Example:

    >>> is_folder("cifar10"), is_folder("tfds:beans"), is_folder("/data/imagenette")
    (False, False, True)
    """
    return dataset not in _RECIPES and not dataset.startswith("tfds:")


DATASETS = tuple(_RECIPES)
