"""Tiny-ImageNet: a builder for tensorflow-datasets, and the set in memory."""

import io
from pathlib import Path

from keras_ssc.datasets.dataset import Dataset
from keras_ssc.datasets.facts import FACTS
from keras_ssc.datasets.prepare.files import read_classes, read_examples
from keras_ssc.datasets.prepared import check_prepared, found, put_in_place

_HOW = """\
Unpack tiny-imagenet-200.zip (cs231n.stanford.edu) and run: python applications/prepare_dataset.py \
--dataset tiny_imagenet --images tiny-imagenet-200 --data-dir FOLDER"""

_FACTS = FACTS["tiny_imagenet"]


def tiny_imagenet_builder(data_dir=None):
    """Return the `tfds.core.GeneratorBasedBuilder` of Tiny-ImageNet.

    Splits are `train` and the official `validation`, which serves as test set; the official test
    images have no labels. Images are stored as the JPEG files they are. The files are read from
    tensorflow-datasets' manual folder: `<data_dir>/downloads/manual`, or `manual_dir` of its
    `DownloadConfig`; see `read_classes` for what is in there.

    Args:
        data_dir: folder of tensorflow-datasets, or None for its default.

    Raises:
        ImportError: tensorflow-datasets is missing.

    Example:

        builder = tiny_imagenet_builder("~/tensorflow_datasets")
        config = tfds.download.DownloadConfig(manual_dir="tiny-imagenet-200")
        builder.download_and_prepare(download_config=config)
    """
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise ImportError(
            'tiny_imagenet needs tensorflow and tensorflow-datasets: pip install "keras-ssc[train]"'
        ) from error

    # Not registered: prepared files are found without, and this function may run twice.
    class TinyImagenet(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        """200 classes of ImageNet at 64 x 64 pixels."""

        VERSION = tfds.core.Version("1.0.0")
        MANUAL_DOWNLOAD_INSTRUCTIONS = _HOW

        def _info(self):
            image = tfds.features.Image(shape=_FACTS.input_shape, encoding_format="jpeg")
            return tfds.core.DatasetInfo(
                builder=self,
                description=self.__doc__,
                features=tfds.features.FeaturesDict(
                    {
                        "image": image,
                        "label": tfds.features.ClassLabel(),
                        "file": tfds.features.Text(),
                    }
                ),
                supervised_keys=("image", "label"),
                homepage="http://cs231n.stanford.edu/",
            )

        def _split_generators(self, dl_manager):
            folder = dl_manager.manual_dir
            self.info.features["label"].names = read_classes(folder)
            return {
                split: self._generate_examples(folder, part)
                for split, part in (("train", "train"), ("validation", "val"))
            }

        def _generate_examples(self, folder, part):
            for key, image, wnid in read_examples(folder, part):
                yield key, {"image": io.BytesIO(image), "label": wnid, "file": key}

    return TinyImagenet(data_dir=data_dir)


def prepare_tiny_imagenet(images, data_dir, limit=None, overwrite=False):
    """Write local images as a set that `load_tiny_imagenet` and `tfds.load` read.

    The set is written atomically.

    Args:
        images: folder, see `read_classes`.
        data_dir: folder for tensorflow-datasets.
        limit: int, at most so many images a split.
        overwrite: bool, replace a prepared set.

    Returns:
        The folder of the prepared set.

    Raises:
        FileExistsError: the set is prepared already.
        ValueError, FileNotFoundError: as `read_examples`.

    Example:

        prepare_tiny_imagenet("tiny-imagenet-200", "~/tensorflow_datasets")
    """
    import tensorflow_datasets as tfds

    read_classes(images)  # complains before anything is made
    data_dir = Path(data_dir).expanduser()
    place = Path(tiny_imagenet_builder(data_dir).data_dir)

    def write(folder):
        made = tiny_imagenet_builder(folder)
        config = tfds.download.DownloadConfig(
            manual_dir=Path(images).expanduser(), max_examples_per_split=limit
        )
        made.download_and_prepare(download_config=config)
        return made

    return put_in_place(place, overwrite, write)


def load_tiny_imagenet(data_dir=None):
    """Return Tiny-ImageNet: 100,000 training and 10,000 test images of 64x64x3 in 200 classes.

    The test images are the official validation set. In memory the images take 1.3 GB.

    Args:
        data_dir: folder of tensorflow-datasets, or None for its default.

    Raises:
        ImportError: tensorflow-datasets is missing.
        FileNotFoundError: the set is not prepared in `data_dir`.
        ValueError: the prepared files can't be read.

    Example:

        dataset = load_tiny_imagenet(data_dir="~/tensorflow_datasets")

    Reference: Le and Yang, "Tiny ImageNet Visual Recognition Challenge", 2015; mean and standard
    deviation of GraSP's code.
    """
    check_prepared("tiny_imagenet", data_dir, _HOW)
    builder = found(tiny_imagenet_builder(data_dir), data_dir, _HOW)
    try:
        (x_train, y_train), (x_test, y_test) = (
            _arrays(builder, split) for split in ("train", "validation")
        )
    except Exception as error:
        raise ValueError(
            f"The prepared files of tiny_imagenet in {str(builder.data_dir)!r} can't be read; they "
            f"may be truncated or foreign. Remove that folder and prepare it anew. ({error})"
        ) from error
    return Dataset(
        name="tiny_imagenet",
        x_train=x_train,
        y_train=y_train,
        x_test=x_test,
        y_test=y_test,
        class_names=tuple(builder.info.features["label"].names),
        mean=_FACTS.mean,
        std=_FACTS.std,
        flip=_FACTS.flip,
    )


def _arrays(builder, split):
    """(uint8 images, int32 labels) of one split, in the order of its files."""
    import tensorflow_datasets as tfds

    examples = tfds.as_numpy(builder.as_dataset(split=split, batch_size=-1, shuffle_files=False))
    return examples["image"], examples["label"].astype("int32")
