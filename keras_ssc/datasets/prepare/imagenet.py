"""ImageNet from single images on this machine into the form that tensorflow-datasets reads."""

import io
from pathlib import Path

from keras_ssc.datasets.prepare.files import of_npz, ranked
from keras_ssc.datasets.prepared import put_in_place

SPLITS = {"train": "train", "validation": "val"}  # as tensorflow-datasets and as folders call them


def read_images(folder, split):
    """Yield (key, JPEG bytes, WordNet id): the first of every class, then the second, and so on.

    Args:
        folder: with `train/<WordNet id>/*.JPEG` and `val/<WordNet id>/*.JPEG`, of some or all
            classes; or with one .npz file.
        split: `"train"` or `"val"`.

    Raises:
        FileNotFoundError: it is neither.

    Example:

        key, image, wnid = next(read_images("imagenette2", "val"))
    """
    folder = Path(folder).expanduser()
    if not (folder / split).is_dir():
        yield from of_npz(folder, split)
        return
    for path, wnid in ranked(folder / split, "*.JPEG"):
        yield path.name, path.read_bytes(), wnid


def prepare_imagenet(images, data_dir, limit=None, overwrite=False):
    """Write local images as a set `imagenet2012` that `ImageNet` and `tfds.load` read.

    Name, version, features, splits and all 1000 classes are those of the real builder. It is meant
    for a part of ImageNet, such as Imagenette: of the whole, tensorflow-datasets' own preparation
    reads the official archives.

    Args:
        images: folder, see `read_images`.
        data_dir: folder for tensorflow-datasets.
        limit: int, at most so many images a split.
        overwrite: bool, replace a prepared set.

    Returns:
        The folder of the prepared set.

    Raises:
        FileExistsError: the set is prepared already.
        ValueError: a class is unknown.
        FileNotFoundError: as `read_images`.

    Example:

        prepare_imagenet("imagenette2", "~/tensorflow_datasets")
    """
    import tensorflow_datasets as tfds

    data_dir = Path(data_dir).expanduser()
    real = tfds.builder("imagenet2012", data_dir=data_dir)
    known = set(real.info.features["label"].names)

    def examples(part):
        for number, (key, image, wnid) in enumerate(read_images(images, part)):
            if number == limit:
                return
            if wnid not in known:
                raise ValueError(f"{key!r} has an unknown class: {wnid!r}")
            yield key, {"file_name": key, "image": io.BytesIO(image), "label": wnid}

    def write(folder):
        return tfds.dataset_builders.store_as_tfds_dataset(
            name="imagenet2012",
            version=real.version,
            features=real.info.features,
            split_datasets={split: list(examples(part)) for split, part in SPLITS.items()},
            description="A part of ImageNet from images on this machine.",
            data_dir=folder,
        )

    return put_in_place(Path(real.data_dir), overwrite, write)
