"""Tiny-ImageNet as it lies on this machine: the official folder, or an .npz with a part of it."""

import io
from pathlib import Path

import numpy as np

SIDE = 64


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
    lines = (val / "val_annotations.txt").read_text().splitlines()
    return [(val / "images" / name, wnid) for name, wnid, *_ in map(str.split, lines)]


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
    with np.load(files[0], allow_pickle=False) as arrays:
        return dict(arrays)


def _checked(image, key):
    """The bytes of a whole 64 x 64 image."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(image)) as opened:
            opened.load()
            size = opened.size
    except OSError as error:
        raise ValueError(f"{key!r} can't be read as an image: {error}") from error
    if size != (SIDE, SIDE):
        raise ValueError(f"{key!r} must be {SIDE} x {SIDE} pixels. Received: {size}")
    return image
