"""A prepared image set: put in its place in one go, and found there again."""

import os
import shutil
import tempfile
from pathlib import Path


def found(builder, data_dir, how):
    """Return `builder` if its set is prepared; nothing is looked for on the network.

    Args:
        builder: builder of tensorflow-datasets.
        data_dir: folder of tensorflow-datasets that was asked for, or None for its own.
        how: str, how the set is prepared.

    Raises:
        FileNotFoundError: it is not; the message says which folder is missing, and `how`.
    """
    if not Path(builder.data_dir).exists():
        place = f"`data_dir` {str(data_dir)!r}" if data_dir else "tensorflow-datasets' own folder"
        raise FileNotFoundError(
            f"{builder.name} is not prepared in {place}: there is no {str(builder.data_dir)!r}. "
            f"{how}"
        )
    return builder


def put_in_place(place, data_dir, overwrite, write):
    """Write a set beside its place and rename it when it is whole.

    Args:
        place: pathlib.Path, the folder of the set.
        data_dir: folder of tensorflow-datasets, `place` is inside.
        overwrite: bool, replace what is there.
        write: function (folder for tensorflow-datasets) -> the builder that has written there.

    Returns:
        `place`.

    Raises:
        FileExistsError: the set is prepared already, and `overwrite` is False.
    """
    if place.exists() and not overwrite:
        raise FileExistsError(f"{str(place)!r} exists; --overwrite replaces it")
    data_dir = Path(data_dir)
    data_dir.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=".preparing-", dir=data_dir))
    try:
        made = write(beside)
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.exists():
            shutil.rmtree(place)
        os.replace(made.data_dir, place)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
        if not any(data_dir.iterdir()):  # a failure leaves no empty folder
            data_dir.rmdir()
    return place
