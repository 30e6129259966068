"""ImageNet through tensorflow-datasets, read from the disk as it is trained on."""

import numpy as np

from keras_ssc.datasets.facts import FACTS
from keras_ssc.datasets.imagenet_crops import center_crop, random_resized_crop
from keras_ssc.datasets.prepared import found

_HOW = """\
From the official archives: tfds build imagenet2012 (tensorflow-datasets' manual says where they \
must lie). From single images: python applications/prepare_dataset.py --dataset imagenet2012 \
--images FOLDER --data-dir FOLDER"""
# Compressed images that are shuffled together: about 400 MB.
_SHUFFLED = 4096


class ImageNet:
    """ImageNet-2012 (1000 classes) as `tf.data` batches of normalised images.

    Training: a random part of the image, of 8 to 100 % of its area and of a shape between 3:4 and
    4:3, scaled to the size, mirrored at random. Test: the shorter side scaled to 256 (at 224), and
    the middle. Both scale bilinearly with antialiasing. Crops and mirroring follow from the seed;
    the official validation images are the test set.

    Args:
        data_dir: folder of tensorflow-datasets with imagenet2012 prepared in it; None: its default.
        train_images: int, the first so many training images; None: all.
        held_out: int; above 0: test on so many of the last training images.

    Raises:
        ImportError: tensorflow-datasets is missing.
        FileNotFoundError: the set is not prepared there.
        ValueError: there are fewer training images than that.

    Example:

        data = ImageNet("~/tensorflow_datasets")
        model.fit(data.training_batches(256, 224), validation_data=data.test_batches(256, 224))

    Reference: Russakovsky et al., 2015; GraSP's recipe for ImageNet.
    """

    mean, std = FACTS["imagenet2012"].mean, FACTS["imagenet2012"].std

    def __init__(self, data_dir=None, train_images=None, held_out=0):
        self.builder = _builder(data_dir)
        whole = self.builder.info.splits["train"].num_examples
        self.train_count = whole - held_out if train_images is None else train_images
        if not 0 < self.train_count <= whole - held_out:
            raise ValueError(
                f"`held_out` and `train_images` must fit into {whole} training images. "
                f"Received: {held_out}, {train_images}"
            )
        self.train_split = f"train[:{self.train_count}]"
        self.test_split, self.test_count = f"train[{whole - held_out}:]", held_out
        if not held_out:
            self.test_split = "validation"
            self.test_count = self.builder.info.splits["validation"].num_examples
        self.class_names = tuple(self.builder.info.features["label"].names)
        self.classes = len(self.class_names)

    def training_batches(self, batch_size, size, seed=0):
        """Return a `tf.data.Dataset` of shuffled, augmented batches, another order each epoch.

        Args:
            batch_size: int; the last batch holds what is left.
            size: int, pixels a side.
            seed: int.
        """
        import tensorflow as tf
        import tensorflow_datasets as tfds

        reading = tfds.ReadConfig(shuffle_seed=seed)
        examples = self._examples(self.train_split, shuffle_files=True, read_config=reading)
        examples = examples.shuffle(min(_SHUFFLED, self.train_count), seed=seed)
        # Two whole numbers for each image, new ones each epoch.
        numbers = tf.data.Dataset.random(seed, rerandomize_each_iteration=True).batch(2)

        def augmented(example, number):
            return random_resized_crop(example["image"], size, number), example["label"]

        images = tf.data.Dataset.zip(examples, numbers).map(
            augmented, num_parallel_calls=tf.data.AUTOTUNE
        )
        return self._batched(images, batch_size, self.train_count)

    def test_batches(self, batch_size, size):
        """Return a `tf.data.Dataset` of the test images in order. Args: as `training_batches`."""
        import tensorflow as tf

        images = self._examples(self.test_split).map(
            lambda example: (center_crop(example["image"], size), example["label"]),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
        return self._batched(images, batch_size, self.test_count)

    def sampled(self, images, size, seed=0):
        """Return so many training images and labels as arrays, drawn and augmented by a seed."""
        batch = next(iter(self.training_batches(images, size, seed)))
        return tuple(np.asarray(part) for part in batch)

    def _examples(self, split, **options):
        import tensorflow_datasets as tfds

        decoders = {"image": tfds.decode.SkipDecoding()}
        return self.builder.as_dataset(split=split, decoders=decoders, **options)

    def _batched(self, images, batch_size, count):
        import tensorflow as tf

        counted = images.apply(tf.data.experimental.assert_cardinality(count))
        return counted.batch(batch_size).prefetch(tf.data.AUTOTUNE)


def _builder(data_dir):
    """The prepared builder; its files are not looked for on the network."""
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise ImportError(
            'imagenet2012 needs tensorflow and tensorflow-datasets: pip install "keras-ssc[train]"'
        ) from error
    return found(tfds.builder("imagenet2012", data_dir=data_dir), data_dir, _HOW)
