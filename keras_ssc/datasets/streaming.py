"""A large image set read from disk: the part of one process, epoch by epoch."""

from keras_ssc.datasets.imagenet_crops import center_crop, random_resized_crop
from keras_ssc.datasets.prepared import found

# Compressed images that are shuffled together: about 400 MB of ImageNet.
_SHUFFLED = 4096


class TfdsStream:
    """Batches of one process's part of a set of tensorflow-datasets, too large for memory.

    The examples of the split are divided evenly among the processes; each reads its own and no
    other. Training images are random crops, test images centre crops
    (`keras_ssc.datasets.imagenet_crops`). What an epoch holds follows from (seed, epoch, process,
    processes) alone. With another number of processes the batches are others.

    Args:
        name: str, such as `"imagenet2012"`, prepared in `data_dir`.
        data_dir: folder of tensorflow-datasets.
        split: `"train"`, or the split to test on.
        size: int, height and width of the images.
        batch_size: int, of all processes together.
        processes: int, how many there are.
        process: int from 0, which one this is.
        accumulate: int; every batch comes in so many pieces, one after the other.
        seed: int.
        training: bool, whether to shuffle and augment.

    Raises:
        FileNotFoundError: the set is not prepared in `data_dir`.
        ValueError: `batch_size` can't be divided by processes and accumulate, or is more than
            the examples.

    Example:

        stream = TfdsStream("imagenet2012", "/data", "train", size=224, batch_size=1024,
                            processes=4, process=0, training=True)
        model.fit(stream.epoch(0))

    Reference: He et al., 2016, section 3.4; Szegedy et al., "Going Deeper" (the crops).
    """

    def __init__(
        self,
        name,
        data_dir,
        split,
        *,
        size,
        batch_size,
        processes=1,
        process=0,
        accumulate=1,
        seed=0,
        training=False,
    ):
        import tensorflow_datasets as tfds

        if batch_size % (processes * accumulate):
            raise ValueError(
                f"`batch_size` must be a multiple of {processes} processes x {accumulate} pieces. "
                f"Received: batch_size={batch_size}"
            )
        how = f"With tensorflow-datasets: tfds build {name} --data_dir FOLDER"
        self.builder = found(tfds.builder(name, data_dir=data_dir), data_dir, how)
        parts = tfds.even_splits(split, processes, drop_remainder=training)
        self.split = parts[process]
        self.size, self.batch_size = size, batch_size // (processes * accumulate)
        self.accumulate = accumulate
        self.seed, self.training = seed, training
        counts = [self.builder.info.splits[part].num_examples for part in parts]
        self.examples, self.largest = counts[process], max(counts)
        self.classes = self.builder.info.features["label"].num_classes
        if not len(self):
            raise ValueError(
                f"`batch_size` must be at most the number of images. Received: {batch_size}, with "
                f"{self.examples} images for each process"
            )

    def __len__(self):
        if not self.training:
            return -(-self.largest // self.batch_size)
        return self.examples // (self.batch_size * self.accumulate) * self.accumulate

    def epoch(self, epoch=0):
        """Return a `tf.data.Dataset` of (images, labels), of a test (images, labels, weights).

        In training a last batch that is not whole is left out; a test has all images, and its last
        batch is filled up with images of weight 0.
        """
        import tensorflow as tf
        import tensorflow_datasets as tfds

        images = self.builder.as_dataset(
            split=self.split,
            decoders={"image": tfds.decode.SkipDecoding()},
            shuffle_files=False,
        )
        images = images.enumerate()
        if self.training:
            images = images.shuffle(
                _SHUFFLED, seed=self.seed + epoch, reshuffle_each_iteration=False
            )
        images = images.map(
            lambda index, example: (self._image(example["image"], index, epoch), example["label"]),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
        if not self.training:
            images = images.map(lambda image, label: (image, label, 1.0))
            images = images.concatenate(self._filling())
        images = images.batch(self.batch_size, drop_remainder=True).take(len(self))
        return images.prefetch(tf.data.AUTOTUNE)

    def _filling(self):
        """Black images of weight 0, up to whole batches."""
        import tensorflow as tf

        black = tf.zeros((self.size, self.size, 3)), tf.constant(0, tf.int64), 0.0
        count = len(self) * self.batch_size - self.examples
        return tf.data.Dataset.from_tensors(black).repeat(count)

    def _image(self, encoded, index, epoch):
        """Decode, crop and normalise one image."""
        import tensorflow as tf

        if not self.training:
            return center_crop(encoded, self.size)
        seed = tf.stack([tf.cast(self.seed + epoch, tf.int64), index])
        return random_resized_crop(encoded, self.size, seed)
