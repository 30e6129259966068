"""Tiny-ImageNet as it lies on this machine: the official folder, or an .npz with a part of it."""

import io
from pathlib import Path

import numpy as np

from keras_ssc.datasets.facts import FACTS

SIDE = FACTS["tiny_imagenet"].side


def read_classes(folder):
    """Return the WordNet ids of the classes, sorted: label i is the i-th.

    Args:
        folder: `tiny-imagenet-200` as it is unpacked, with `wnids.txt`, `train/<wnid>/images/*` and
            `val/val_annotations.txt` beside `val/images`; or a folder with one .npz file.

    Raises:
        FileNotFoundError: it is neither.

    Example:

        read_classes("tiny-imagenet-200")  # ['n01443537', ...]
    """
    folder = Path(folder).expanduser()
    if (folder / "wnids.txt").is_file():
        return sorted((folder / "wnids.txt").read_text().split())
    return sorted(_packed(folder)["wnids"].tolist())


def read_examples(folder, split):
    """Yield (key, JPEG bytes, WordNet id): the first of every class, then the second, and so on.

    Args:
        folder: as for `read_classes`.
        split: `"train"` or `"val"`.

    Raises:
        FileNotFoundError: a folder or file is missing.
        ValueError: an image can't be read or is not 64 x 64, or a class is unknown.

    Example:

        key, image, wnid = next(read_examples("tiny-imagenet-200", "train"))
    """
    folder = Path(folder).expanduser()
    classes = read_classes(folder)
    official = (folder / "wnids.txt").is_file()
    found = _official(folder, split) if official else of_npz(folder, split)
    for key, image, wnid in found:
        if wnid not in classes:
            raise ValueError(f"{key!r} in {str(folder)!r} has an unknown class: {wnid!r}")
        yield key, _checked(image, key), wnid


def _official(folder, split):
    files = (
        _annotated(folder / "val") if split == "val" else ranked(folder / "train", "images/*.JPEG")
    )
    for path, wnid in files:
        yield path.name, path.read_bytes(), wnid


def ranked(folder, pattern):
    """Return [(file, class)] by rank in its class, so that any leading part is balanced.

    Args:
        folder: pathlib.Path with a folder for each class.
        pattern: str, how its images are called inside.
    """
    files = [
        (rank, wnid.name, path)
        for wnid in folder.iterdir()
        for rank, path in enumerate(sorted(wnid.glob(pattern)))
    ]
    return [(path, wnid) for _, wnid, path in sorted(files)]


def _annotated(val):
    """(file, class) in the order of the annotations: name, class and box, with tabs between."""
    found = []
    for line in (val / "val_annotations.txt").read_text().splitlines():
        name, wnid, *_ = [*line.split(), "", ""]
        if not wnid or Path(name).name != name:
            raise ValueError(f"val_annotations.txt must name images and classes. Found: {line!r}")
        found.append((val / "images" / name, wnid))
    return found


def of_npz(folder, split):
    """Yield (key, JPEG bytes, WordNet id) of the one .npz file in a folder, in its order."""
    packed = _packed(folder)
    joined, ends = packed[f"{split}_jpeg"], packed[f"{split}_offsets"]
    labels, wnids = packed[f"{split}_labels"], packed["wnids"].tolist()
    for index, label in enumerate(labels):
        image = joined[ends[index] : ends[index + 1]].tobytes()
        yield f"{split}_{index:06d}", image, wnids[label]


def _packed(folder):
    files = sorted(folder.glob("*.npz"))
    if len(files) != 1:
        raise FileNotFoundError(
            "`images` must be the folder tiny-imagenet-200 with its wnids.txt, of ImageNet one "
            "with train/<WordNet id> and val/<WordNet id>, or hold one .npz file. "
            f"Received: {str(folder)!r}"
        )
    try:
        # Opened here, for np.load forgets to close what it can't read.
        with open(files[0], "rb") as file, np.load(file, allow_pickle=False) as arrays:
            packed = dict(arrays)
        packed["wnids"] = packed["wnids"].astype(str)
        for split in ("train", "val"):
            _check_split(packed, split)
    except Exception as error:
        raise ValueError(
            f"{str(files[0])!r} can't be read as images: {type(error).__name__}: {error}"
        ) from error
    return packed


def _check_split(packed, split):
    """Refuse labels without a class, and ends that are not in order or not of this array."""
    labels, ends = packed[f"{split}_labels"], packed[f"{split}_offsets"]
    if len(ends) != len(labels) + 1:
        raise ValueError(f"{split}_offsets must be one more than {split}_labels")
    if len(labels) and not 0 <= labels.min() <= labels.max() < len(packed["wnids"]):
        raise ValueError(f"{split}_labels must be in 0 ... {len(packed['wnids']) - 1}")
    if ends[0] < 0 or ends[-1] > len(packed[f"{split}_jpeg"]) or (np.diff(ends) < 0).any():
        raise ValueError(f"{split}_offsets must rise, inside of {split}_jpeg")


def read_image(file, name, size):
    """Return the pixels of an image file, uint8 (height, width, 3).

    Args:
        file: path, or binary file.
        name: str, what to call it.
        size: (width, height) that it must have; another is refused before it is unpacked.
    """
    from PIL import Image

    try:
        with Image.open(file) as image:
            found = image.size
            pixels = np.asarray(image.convert("RGB")) if found == size else None
    except Exception as error:  # a damaged image fails in many ways
        raise ValueError(f"{name!r} can't be read as an image: {error}") from error
    if pixels is None:
        raise ValueError(f"{name!r} must be {size[0]} x {size[1]} pixels. Received: {found}")
    return pixels


def _checked(image, key):
    """The bytes of a whole 64 x 64 image."""
    read_image(io.BytesIO(image), key, (SIDE, SIDE))
    return image
