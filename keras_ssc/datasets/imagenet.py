"""ImageNet through tensorflow-datasets, streamed from the disk."""

import numpy as np

from keras_ssc.datasets.facts import FACTS
from keras_ssc.datasets.prepared import prepared_builder
from keras_ssc.datasets.sources import builder_source
from keras_ssc.datasets.streaming import Stream

HOW = """\
From the official archives: tfds build imagenet2012 (tensorflow-datasets' manual says where they \
must lie). From single images: python applications/prepare_dataset.py --dataset imagenet2012 \
--images FOLDER --data-dir FOLDER"""


class ImageNet:
    """ImageNet-2012 (1000 classes) as `Stream`s of normalised images.

    Training images are random crops, 8 to 100 % of the area, of a shape between 3:4 and 4:3, scaled
    to the size, mirrored at random. Test images: the shorter side scaled to 256 (at 224), and the
    centre crop. Both scale bilinearly with antialiasing. The official validation images are the
    test set.

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
        batches = data.training_batches(256, 224)
        model.fit(batches.tf_dataset(), shuffle=False, callbacks=[batches.follow_epochs()])

    Reference: Russakovsky et al., 2015; GraSP's recipe for ImageNet.
    """

    mean, std = FACTS["imagenet2012"].mean, FACTS["imagenet2012"].std

    def __init__(self, data_dir=None, train_images=None, held_out=0):
        self.builder = prepared_builder("imagenet2012", data_dir, HOW)
        images = self.builder.info.splits["train"].num_examples
        self.train_count = images - held_out if train_images is None else train_images
        if not 0 < self.train_count <= images - held_out:
            raise ValueError(
                f"`held_out` and `train_images` must fit into {images} training images. "
                f"Received: {held_out}, {train_images}"
            )
        self._train = builder_source(self.builder, "train", 0, self.train_count)
        test = ("train", images - held_out) if held_out else ("validation", 0)
        self._test = builder_source(self.builder, *test)
        self.test_count = self._test.count
        self.class_names = self._train.class_names
        self.classes = len(self.class_names)

    def training_batches(self, batch_size, size, seed=0):
        """Return a `Stream` of shuffled, augmented batches, another order each epoch.

        Args:
            batch_size: int; the last batch holds what is left.
            size: int, pixels a side.
            seed: int.
        """
        return Stream(self._train, size=size, batch_size=batch_size, training=True, seed=seed)

    def test_batches(self, batch_size, size):
        """Return a `Stream` of the test images in order. Args: as `training_batches`."""
        return Stream(self._test, size=size, batch_size=batch_size)

    def sampled(self, images, size, seed=0):
        """Return so many training images and labels as arrays, drawn and augmented by a seed."""
        batch = next(iter(self.training_batches(images, size, seed)))
        return tuple(np.asarray(part) for part in batch)
