"""The shard of each batch that one process of a distributed training reads."""

import copy

import keras
import numpy as np


class ShardedBatches(keras.utils.PyDataset):
    """The shard of each batch that one of several processes reads, in batches of one size.

    What all processes read together is what a single one would read, so that the training does not
    depend on their number. An incomplete last batch, whose shards would have unequal weight, is
    dropped in training and padded with images of weight 0 in a test.

    Args:
        batches: `Batches`, of all processes together.
        processes: int, how many there are.
        process: int from 0, which one this is.
        accumulate: int; every batch comes in this many pieces, one after the other.
        fill: bool, True for a test.

    Raises:
        ValueError: a batch can't be divided by processes and accumulate, or there is none.

    Example:

    >>> x, y = np.zeros((10, 8, 8, 3), "uint8"), np.zeros(10, "int32")
    >>> batches = keras_ssc.datasets.Batches(x, y, 4, mean=(0, 0, 0), std=(1, 1, 1))
    >>> part = ShardedBatches(batches, processes=2, process=1)
    >>> len(part), part[0][0].shape
    (2, (2, 8, 8, 3))
    """

    def __init__(self, batches, processes=1, process=0, accumulate=1, fill=False):
        super().__init__()
        if batches.batch_size % (processes * accumulate):
            raise ValueError(
                f"`batch_size` must be a multiple of {processes} processes x {accumulate} pieces. "
                f"Received: batch_size={batches.batch_size}"
            )
        self.batches, self.accumulate, self.fill = batches, accumulate, fill
        self.processes, self.process, self.begin = processes, process, 0
        if not len(self):
            raise ValueError(
                f"`batch_size` must be at most the number of images, {len(batches.x)}. "
                f"Received: batch_size={batches.batch_size}"
            )

    def __len__(self):
        complete = len(self.batches.x) // self.batches.batch_size
        return (len(self.batches) if self.fill else complete) * self.accumulate - self.begin

    def __getitem__(self, index):
        """Return (images, labels), and their weights where `fill`."""
        batch, piece = divmod(self.begin + index, self.accumulate)
        x, y = self.batches[batch]
        missing = self.batches.batch_size - len(x)
        weight = np.pad(np.ones(len(x), "float32"), (0, missing))
        if missing:
            x = np.pad(x, ((0, missing), (0, 0), (0, 0), (0, 0)))
            y = np.pad(y, (0, missing))
        size = len(x) // (self.accumulate * self.processes)
        first = (piece * self.processes + self.process) * size
        mine = slice(first, first + size)
        return (x[mine], y[mine], weight[mine]) if self.fill else (x[mine], y[mine])

    def epoch(self, epoch=0):
        """Go to the order and crops of an epoch; return itself, for `fit(..., shuffle=False)`."""
        self.batches.epoch = epoch
        return self

    def follow_epochs(self):
        """Return a callback that goes to the epoch that `fit` begins."""
        return self.batches.follow_epochs()

    def from_step(self, step):
        """Return the same batches without the first `step` of every epoch."""
        rest = copy.copy(self)
        rest.begin = step
        return rest
