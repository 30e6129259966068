"""The settings of a training on several devices or processes."""

import dataclasses

import keras

from keras_ssc import applications, datasets
from keras_ssc.arguments import known


@dataclasses.dataclass(frozen=True)
class Job:
    """What makes a distributed training.

    Args:
        model: str, a builder of `keras_ssc.applications`.
        sparsity: float in [0, 1), of the network.
        dataset: str, a name of `keras_ssc.datasets`, or of tensorflow-datasets, then streamed.
        data_dir: folder of tensorflow-datasets.
        test_split: str, of a streamed set.
        image_size: int, height and width of a streamed set's images.
        epochs: int.
        batch_size: int, images of all devices for one update of the weights.
        learning_rate: float, x0.1 at 50 % and at 75 % of the updates.
        momentum, l2: floats, of `CoupledSGD`.
        seed: int.
        limit: int, use only so many training and test images of a set in memory; None: all.
        devices: int, of one process; None: all.
        address, processes, process: see `devices.join`; one process needs no address.
        accumulate: int, gradients of so many pieces of a batch are added before an update (JAX).
            Without BatchNormalization that equals the whole batch; its moments are a piece's.
        bf16: bool, compute in bfloat16, keep weights in float32.
        execution: as for `SSCConv2D`.

    Raises:
        ValueError: a setting is out of range or can't go with another; the message names it.

    Example:

    >>> Job(model="ResNet50", dataset="imagenet2012", image_size=224, batch_size=1024).processes
    1
    """

    model: str = "ResNet20"
    sparsity: float = 0.9
    dataset: str = "digits"
    data_dir: str | None = None
    test_split: str = "validation"
    image_size: int = 224
    epochs: int = 6
    batch_size: int = 64
    learning_rate: float = 0.02
    momentum: float = 0.9
    l2: float = 1e-4
    seed: int = 0
    limit: int | None = None
    devices: int | None = None
    address: str | None = None
    processes: int = 1
    process: int = 0
    accumulate: int = 1
    bf16: bool = False
    execution: str = "auto"

    def __post_init__(self):
        for name in ("epochs", "batch_size", "accumulate", "processes", "image_size"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"`{name}` must be a positive integer. Received: {value!r}")
        known("model", self.model, applications.__all__)
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

    def build(self, input_shape, classes):
        """Return the network, not compiled."""
        return getattr(applications, self.model)(
            input_shape=input_shape,
            classes=classes,
            sparsity=self.sparsity,
            execution=self.execution,
            dtype="mixed_bfloat16" if self.bf16 else None,
        )

    @property
    def streamed(self):
        """Whether the images are read from disk while training."""
        return self.dataset not in datasets.names()
