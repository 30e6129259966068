"""Image sets in few small files that NumPy and the standard library read, without TensorFlow.

`<name>-packed.json` says what the set is and which parts it has; a part, `<name>-train-00.bz2`,
holds 5,000 labels and images: each pixel as its difference from left + above - above left, in red
and blue less that of green.
"""

import bz2
import hashlib
import json
import math
import os
from pathlib import Path

import numpy as np

from keras_ssc.atomic_write import new_file
from keras_ssc.datasets.dataset import Dataset

_TUPLES = ("class_names", "mean", "std")


def pack(dataset, folders, images=5000):
    """Write an image set into folders that can travel one by one, to be put together again.

    Args:
        dataset: `Dataset` of uint8 images (n, height, width, 3), with at most 256 classes.
        folders: list of folders, made where they are missing. Each gets its share of the parts, in
            order, and the list of all.
        images: int, images of a part.

    Raises:
        ValueError: no folder, or other images or labels.
        FileExistsError: the set is packed there already.

    Example:

        pack(load("cifar10", "data"), ["carry-1", "carry-2"])
    """
    if not folders:
        raise ValueError(f"`folders` must name at least one folder. Received: {folders!r}")
    if images < 1:
        raise ValueError(f"`images` must be at least 1. Received: images={images}")
    for folder in folders:
        if is_packed(dataset.name, folder):
            raise FileExistsError(f"{dataset.name} is packed in {str(folder)!r} already")
    parts = {split: _cut(dataset, split, images) for split in ("train", "test")}
    count = sum(map(len, parts.values()))
    places = iter([folders[i * len(folders) // count] for i in range(count)])
    about = {name: getattr(dataset, name) for name in ("name", *_TUPLES, "flip")}
    about["shape"] = dataset.x_train.shape[1:]
    for folder in folders:
        Path(os.path.expanduser(folder)).mkdir(parents=True, exist_ok=True)
    for split in parts:
        about[split] = []
        for number, (x, y) in enumerate(parts[split]):
            data = bz2.compress(y.astype("uint8").tobytes() + _differences(x))
            _write(_part(dataset.name, split, number, next(places)), data)
            about[split].append([len(x), hashlib.sha256(data).hexdigest()])
    for folder in folders:
        _write(_list(dataset.name, folder), (json.dumps(about, indent=1) + "\n").encode())


def is_packed(name, folder):
    """Return whether `folder` holds the list of a packed image set.

    Args:
        name: str, of the image set.
        folder: str, Path or None.
    """
    return folder is not None and _list(name, folder).exists()


def read_packed(name, folder):
    """Return the `Dataset` that `pack` wrote, the same to the bit.

    Args:
        name: str, of the image set.
        folder: folder that holds the files of all folders of `pack`.

    Raises:
        ValueError: the list or a part is missing or damaged; the message names the file.

    Example:

        dataset = read_packed("cifar10", "images")
    """
    path = _list(name, folder)
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        shape = tuple(map(int, about["shape"]))
        if about["name"] != name or len(shape) != 3 or min(shape) < 1 or shape[2] != 3:
            raise ValueError(f"it is of {about['name']!r} of {shape}")
        fields = {field: tuple(about[field]) for field in _TUPLES} | {"flip": bool(about["flip"])}
        parts = [
            (split, number, int(images), str(digest))
            for split in ("train", "test")
            for number, (images, digest) in enumerate(about[split])
        ]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{str(path)!r} is no list of packed images: {error}") from error
    files = [_part(name, split, number, folder) for split, number, _, _ in parts]
    missing = [file.name for file in files if not file.exists()]
    if missing:
        raise ValueError(
            f"{str(folder)!r} lacks {', '.join(missing)}: put the files of all the folders into "
            f"which {name} was packed there"
        )
    read = {"x_train": [], "y_train": [], "x_test": [], "y_test": []}
    for file, (split, _, images, digest) in zip(files, parts, strict=True):
        x, y = _read(file, images, digest, shape, len(fields["class_names"]))
        read[f"x_{split}"].append(x)
        read[f"y_{split}"].append(y)
    arrays = {key: np.concatenate(several) for key, several in read.items()}
    return Dataset(name=name, **fields, **arrays)


def _list(name, folder):
    return Path(os.path.expanduser(folder)) / f"{name}-packed.json"


def _part(name, split, number, folder):
    return Path(os.path.expanduser(folder)) / f"{name}-{split}-{number:02d}.bz2"


def _cut(dataset, split, images):
    """Return the (images, labels) of each part, or say why they can't be packed."""
    x, y = getattr(dataset, f"x_{split}"), getattr(dataset, f"y_{split}")
    if x.dtype != "uint8" or x.ndim != 4 or x.shape[-1] != 3 or not len(x):
        raise ValueError(
            "`dataset` must hold uint8 images (n, height, width, 3). "
            f"Received: {x.dtype} of shape {x.shape}"
        )
    if len(dataset.class_names) > 256:
        raise ValueError(f"`dataset` must have at most 256 classes. Received: {dataset.classes}")
    return [(x[i : i + images], y[i : i + images]) for i in range(0, len(x), images)]


def _write(path, data):
    with new_file(path, path.suffix, overwrite=True) as temporary:
        temporary.write_bytes(data)


def _read(file, images, digest, shape, classes):
    """Return (images, labels) of a part; only what has the right hash is unpacked."""
    try:
        data = file.read_bytes()
        if hashlib.sha256(data).hexdigest() != digest:
            raise ValueError("its SHA-256 is another than in the list")
        size = images * (1 + math.prod(shape))
        plain = np.frombuffer(bz2.BZ2Decompressor().decompress(data, size + 1), "uint8")
        if images < 1 or len(plain) != size:
            raise ValueError(f"it does not hold {images} images of {shape}")
        labels = plain[:images].astype("int32")
        if labels.max() >= classes:
            raise ValueError(f"it has label {labels.max()} of {classes} classes")
    except (OSError, ValueError) as error:
        raise ValueError(f"{str(file)!r} can't be read as packed images: {error}") from error
    return _sums(plain[images:].reshape(shape[2], images, *shape[:2])), labels


def _differences(x):
    """Return the bytes of images (n, height, width, 3), color by color, as differences mod 256."""
    planes = x.transpose(3, 0, 1, 2).copy()
    planes[[0, 2]] -= planes[1]
    for axis in (2, 3):
        planes = np.diff(planes, axis=axis, prepend=np.uint8(0))
    return planes.tobytes()


def _sums(planes):
    """Return the images of `_differences`: sums mod 256 down and to the right."""
    planes = planes.cumsum(2, dtype="uint8").cumsum(3, dtype="uint8")
    planes[[0, 2]] += planes[1]
    return np.ascontiguousarray(planes.transpose(1, 2, 3, 0))
