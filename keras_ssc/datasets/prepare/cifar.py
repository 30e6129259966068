"""Images from files on this machine into the form that tensorflow-datasets reads: CIFAR here."""

from pathlib import Path

import numpy as np

from keras_ssc.arguments import known
from keras_ssc.datasets.prepare.cifar_classes import (
    CIFAR10,
    CIFAR100,
    CIFAR100_COARSE,
    FINE_TO_COARSE,
)
from keras_ssc.datasets.prepare.files import read_image
from keras_ssc.datasets.prepare.imagenet import prepare_imagenet
from keras_ssc.datasets.prepared import put_in_place
from keras_ssc.datasets.tiny_imagenet import prepare_tiny_imagenet

CLASS_NAMES = {"cifar10": CIFAR10, "cifar100": CIFAR100}
IMAGE_ENDINGS = (".png", ".webp", ".jpg", ".jpeg", ".bmp")
_SHEET_ROWS, _SHEET_COLUMNS, _SIDE = 25, 40, 32


def read_images(folder, dataset, split, limit=None):
    """Return (uint8 images (n, 32, 32, 3), int labels) of one split, from either form.

    Args:
        folder: a folder of sheets, `<split>_NN.webp` or `.png` of 25 x 40 tiles each, with the
            labels in `<split>_labels.npy` (without that file, image i of CIFAR-100 has label
            i mod 100); or a folder `<split>/<class name>/` of single images.
        dataset: `"cifar10"` or `"cifar100"`.
        split: `"train"` or `"test"`.
        limit: int, read at most so many images; None reads all.

    Raises:
        FileNotFoundError: neither form is there.
        ValueError: an image can't be read or has another size, or labels are missing.

    Example:

        images, labels = read_images("images/cifar10", "cifar10", "test")
    """
    folder = Path(folder)
    sheets = sorted(
        path for path in folder.glob(f"{split}_[0-9][0-9].*") if path.suffix in IMAGE_ENDINGS
    )
    if sheets:
        return _read_sheets(folder, sheets, dataset, split, limit)
    if (folder / split).is_dir():
        return _read_folders(folder / split, CLASS_NAMES[dataset], limit)
    raise FileNotFoundError(
        f"`images` must be a folder with sheets {split}_NN.webp or with folders {split}/<class>/. "
        f"Received: {str(folder)!r}"
    )


def read_labels(file, count):
    """The labels of a .npy file: `count` integers from 0."""
    try:
        labels = np.load(file, allow_pickle=False, mmap_mode="r")  # a huge shape takes no memory
    except Exception as error:
        raise ValueError(f"{str(file)!r} can't be read as labels: {error}") from error
    if labels.shape != (count,) or labels.dtype.kind not in "iu" or labels.min() < 0:
        raise ValueError(
            f"{str(file)!r} must hold {count} labels, one for each tile: integers from 0. "
            f"Received: {labels.dtype} of shape {labels.shape}"
        )
    return np.array(labels)


def _read_sheets(folder, sheets, dataset, split, limit):
    tiles = _SHEET_ROWS * _SHEET_COLUMNS
    wanted = sheets if limit is None else sheets[: -(-limit // tiles)]
    images = []
    for path in wanted:
        sheet = read_image(path, str(path), (_SHEET_COLUMNS * _SIDE, _SHEET_ROWS * _SIDE))
        grid = sheet.reshape(_SHEET_ROWS, _SIDE, _SHEET_COLUMNS, _SIDE, 3)
        images.append(grid.transpose(0, 2, 1, 3, 4).reshape(tiles, _SIDE, _SIDE, 3))
    images = np.concatenate(images)
    file = folder / f"{split}_labels.npy"
    if file.exists():
        labels = read_labels(file, tiles * len(sheets))
        if labels.max() >= len(CLASS_NAMES[dataset]):
            raise ValueError(
                f"{str(file)!r} must hold labels below {len(CLASS_NAMES[dataset])}. "
                f"Received: {labels.max()}"
            )
    elif dataset == "cifar100":
        labels = np.arange(len(images)) % 100
    else:
        raise ValueError(f"The labels are missing: there is no {str(file)!r}")
    return images[:limit], labels[: len(images)][:limit].astype("int64")


def _read_folders(folder, names, limit):
    foreign = {path.name for path in folder.iterdir() if path.is_dir()} - set(names)
    if foreign:
        raise ValueError(f"{str(folder)!r} has folders of unknown classes: {sorted(foreign)}")
    images, labels, ranks = [], [], []
    for label, name in enumerate(names):
        if not (folder / name).is_dir():
            continue
        files = sorted(path for path in (folder / name).iterdir() if path.suffix in IMAGE_ENDINGS)
        for rank, path in enumerate(files):
            images.append(read_image(path, str(path), (_SIDE, _SIDE)))
            labels.append(label)
            ranks.append(rank)
    if not images:
        raise ValueError(f"There are no images in {str(folder)!r}")
    # The first of every class, then the second: any leading part is balanced.
    order = np.argsort(ranks, kind="stable")[:limit]
    return np.stack(images)[order], np.array(labels, "int64")[order]


def prepare(dataset, images, data_dir, limit=None, overwrite=False):
    """Write local images as a set that `tfds.load(dataset, data_dir=...)` reads.

    Name, version, features and splits are those of the real builder. The set is written
    atomically.

    Args:
        dataset: `"cifar10"`, `"cifar100"`, `"tiny_imagenet"` or `"imagenet2012"`.
        images: folder, see `read_images`; of Tiny-ImageNet, `prepare.files.read_classes`; of
            ImageNet, `prepare.imagenet.read_images`.
        data_dir: folder for tensorflow-datasets.
        limit: int, at most so many images a split.
        overwrite: bool, replace a prepared set.

    Returns:
        The folder of the prepared set.

    Raises:
        FileExistsError: the set is prepared already.
        ValueError, FileNotFoundError: as `read_images`.

    Example:

        prepare("cifar10", "images/cifar10", "~/tensorflow_datasets")
    """
    import tensorflow_datasets as tfds

    others = {"tiny_imagenet": prepare_tiny_imagenet, "imagenet2012": prepare_imagenet}
    known("dataset", dataset, [*CLASS_NAMES, *others])
    if limit is not None and limit < 1:
        raise ValueError(f"`limit` must be at least 1. Received: limit={limit}")
    if dataset in others:
        return others[dataset](images, data_dir, limit, overwrite)
    data_dir = Path(data_dir).expanduser()
    real = tfds.builder(dataset, data_dir=data_dir)
    place = Path(real.data_dir)
    features = real.info.features
    features["label"].names = CLASS_NAMES[dataset]
    if "coarse_label" in features:
        features["coarse_label"].names = CIFAR100_COARSE

    def write(folder):
        splits = {split: read_images(images, dataset, split, limit) for split in ("train", "test")}
        return tfds.dataset_builders.store_as_tfds_dataset(
            name=dataset,
            version=real.version,
            features=features,
            split_datasets={
                split: _examples(split, *arrays, dataset) for split, arrays in splits.items()
            },
            description=f"{dataset} from images on this machine.",
            data_dir=folder,
        )

    return put_in_place(place, overwrite, write)


def _examples(split, images, labels, dataset):
    """(key, example) pairs, with the features of the real builder."""
    examples = []
    for index, (image, label) in enumerate(zip(images, labels, strict=True)):
        example = {"id": f"{split}_{index:05d}", "image": image, "label": int(label)}
        if dataset == "cifar100":
            example["coarse_label"] = FINE_TO_COARSE[label]
        examples.append((index, example))
    return examples
