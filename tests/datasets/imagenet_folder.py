"""A small image set in ImageNet's official folders, made here."""

import io

import numpy as np
import pytest

LABELS = {"n01440764": 0, "n02102040": 217, "n03888257": 701}  # of the 1000
SIZES = [(40, 60), (60, 40), (50, 50), (33, 90)]


def jpeg(seed, grey=False):
    """A smooth random picture, which compression leaves nearly as it is."""
    image = pytest.importorskip("PIL.Image")
    corners = np.random.default_rng(seed).integers(0, 256, (3, 3) if grey else (3, 3, 3), "uint8")
    buffer = io.BytesIO()
    width, height = SIZES[seed % len(SIZES)]
    picture = image.fromarray(corners).resize((width, height), image.Resampling.BICUBIC)
    picture.save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def write_folder(root):
    """Write 24 training and 6 validation images below `root`, and return it."""
    for number, wnid in enumerate(LABELS):
        for split, count in (("train", 8), ("val", 2)):
            (root / split / wnid).mkdir(parents=True)
            for index in range(count):
                picture = jpeg(10 * number + index + 100 * (split == "val"), grey=index == 1)
                (root / split / wnid / f"{wnid}_{split}_{index}.JPEG").write_bytes(picture)
    return root
