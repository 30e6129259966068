"""Images read from disk while training: batches of one process's share, epoch by epoch."""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import keras

from keras_ssc.arguments import integer, one_of
from keras_ssc.datasets.imagenet_crops import center_crop, random_resized_crop

# Compressed images that are shuffled together: about 400 MB of ImageNet.
_SHUFFLED = 4096
_REMAINDERS = ("keep", "drop", "fill")


@dataclass(frozen=True)
class Source:
    """Encoded images and their labels, in a fixed order.

    Args:
        class_names: tuple of str, one for each label.
        count: int, images.
        read: function (first, stop) -> `tf.data.Dataset` of (bytes of an image file, label).
        files: tuple of str, the path of each image; empty where they are not files of their own.
    """

    class_names: tuple
    count: int
    read: Callable
    files: tuple = ()


class Stream:
    """Batches of a `Source` too large for memory, in any backend's `fit`.

    The images are divided evenly among the processes; each reads its own and no other. Training
    images are random crops, test images centre crops (`keras_ssc.datasets.imagenet_crops`). What an
    epoch holds follows from (seed, epoch, process, processes) alone: a training that resumes in
    mid-epoch sees the same batches as one that never stopped.

    Args:
        source: `Source`, such as `tfds_source("imagenet2012", data_dir, "train")`.
        size: int, height and width of the crops.
        batch_size: int, of all processes together.
        training: bool, whether to shuffle and augment.
        seed: int.
        remainder: an incomplete last batch: `"keep"`; `"drop"`; or `"fill"`, padded with images of
            weight 0, for a test in several processes; batches are (images, labels, weights) then.
        processes: int, how many there are.
        process: int from 0, which one this is.
        accumulate: int; every batch comes in this many pieces, one after the other.

    Raises:
        ValueError: `batch_size` can't be divided by processes and accumulate, or is more than
            the images.

    Example:

        stream = Stream(tfds_source("imagenet2012", "/data", "train"), size=224, batch_size=256,
                        training=True)
        model.fit(stream.tf_dataset(), shuffle=False, callbacks=[stream.follow_epochs()])

    Reference: He et al., 2016, section 3.4; Szegedy et al., "Going Deeper" (the crops).
    """

    def __init__(
        self,
        source,
        *,
        size,
        batch_size,
        training=False,
        seed=0,
        remainder="keep",
        processes=1,
        process=0,
        accumulate=1,
    ):
        self.size = integer("size", size, 1)
        self.remainder = one_of("remainder", remainder, _REMAINDERS)
        if integer("batch_size", batch_size, 1) % (processes * accumulate):
            raise ValueError(
                f"`batch_size` must be a multiple of {processes} processes x {accumulate} pieces. "
                f"Received: batch_size={batch_size}"
            )
        self.source, self.training, self.seed = source, training, seed
        self.batch_size, self.accumulate = batch_size // (processes * accumulate), accumulate
        used = source.count - (source.count % processes if remainder == "drop" else 0)
        self.first, self.stop = (used * one // processes for one in (process, process + 1))
        self.largest = -(-used // processes)  # share of a process
        self.present, self.begin = 0, 0
        if not len(self):
            raise ValueError(
                f"`batch_size` must be at most the number of images. Received: {batch_size}, with "
                f"{self.stop - self.first} images for each process"
            )

    def __len__(self):
        if self.remainder == "fill":
            return -(-self.largest // self.batch_size) - self.begin
        images = self.stop - self.first
        if self.remainder == "keep":
            return -(-images // self.batch_size) - self.begin
        return images // (self.batch_size * self.accumulate) * self.accumulate - self.begin

    @property
    def class_names(self):
        """Names of the classes."""
        return self.source.class_names

    @property
    def classes(self):
        """Number of classes."""
        return len(self.source.class_names)

    def __iter__(self):
        """Iterate over the batches of the present epoch."""
        return iter(self.epoch(self.present))

    def epoch(self, epoch=0):
        """Return a `tf.data.Dataset` of (float32 images, labels) of one epoch."""
        import tensorflow as tf

        images = self.source.read(self.first, self.stop).enumerate()
        if self.training:
            images = images.shuffle(
                min(_SHUFFLED, self.stop - self.first),
                seed=self.seed + epoch,
                reshuffle_each_iteration=False,
            )
        images = images.map(
            lambda index, example: (self._image(example[0], index, epoch), example[1]),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
        if self.remainder == "fill":
            images = images.map(lambda image, label: (image, label, 1.0))
            images = images.concatenate(self._filling())
        images = images.batch(self.batch_size, drop_remainder=self.remainder != "keep")
        images = images.skip(self.begin).take(len(self))
        images = images.apply(tf.data.experimental.assert_cardinality(len(self)))
        return images.prefetch(tf.data.AUTOTUNE)

    def follow_epochs(self):
        """Return a callback by which `tf_dataset` follows the epochs of `fit`."""
        return keras.callbacks.LambdaCallback(
            on_epoch_begin=lambda epoch, logs: setattr(self, "present", epoch)
        )

    def from_step(self, step):
        """Return the same batches without the first `step` of every epoch."""
        rest = copy.copy(self)
        rest.begin = step
        return rest

    def tf_dataset(self):
        """Return a `tf.data.Dataset` that reads the present epoch each time that it is begun."""
        import tensorflow as tf

        data = tf.data.Dataset.from_generator(
            lambda: self.epoch(self.present).as_numpy_iterator(),
            output_signature=self.epoch(0).element_spec,
        )
        data = data.apply(tf.data.experimental.assert_cardinality(len(self))).prefetch(2)
        options = tf.data.Options()
        options.autotune.enabled = False  # see `Batches.tf_dataset`
        return data.with_options(options)

    def _filling(self):
        """Black images of weight 0, up to complete batches."""
        import tensorflow as tf

        black = tf.zeros((self.size, self.size, 3)), tf.constant(0, tf.int64), 0.0
        missing = -(-self.largest // self.batch_size) * self.batch_size - (self.stop - self.first)
        return tf.data.Dataset.from_tensors(black).repeat(missing)

    def _image(self, encoded, index, epoch):
        """Decode, crop and normalise one image."""
        import tensorflow as tf

        if not self.training:
            return center_crop(encoded, self.size)
        seed = tf.stack([tf.cast(self.seed + epoch, tf.int64), index])
        return random_resized_crop(encoded, self.size, seed)
