"""A prepared image set: put in its place in one go, and found there again."""

import os
import re
import shutil
from pathlib import Path

from keras_ssc.atomic_write import atomic_write


def prepared_builder(name, data_dir, how):
    """Return the builder of tensorflow-datasets of a set, if that is prepared.

    Args: as `found`.

    Raises:
        ImportError: tensorflow-datasets is missing.
        FileNotFoundError: as `found`.
    """
    check_prepared(name, data_dir, how)
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise ImportError(
            f'{name} needs tensorflow and tensorflow-datasets: pip install "keras-ssc[train]"'
        ) from error
    return found(tfds.builder(name, data_dir=data_dir), data_dir, how)


def check_prepared(name, data_dir, how):
    """Refuse a set that has no folder, before tensorflow-datasets asks the internet about it.

    Args:
        name: str, the name of the set, with or without its configuration.
        data_dir: folder of tensorflow-datasets that was asked for, or None for its own.
        how: str, how the set is prepared.

    Raises:
        FileNotFoundError: there is none; the message says which folder is missing, and `how`.
    """
    own = os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")
    if "://" in str(data_dir or own):  # a bucket
        return
    folder = Path(data_dir or own).expanduser() / re.split("[:/]", name)[0]
    if not folder.is_dir():
        raise FileNotFoundError(_missing(name, data_dir, folder, how))


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
        raise FileNotFoundError(_missing(builder.name, data_dir, builder.data_dir, how))
    return builder


def _missing(name, data_dir, folder, how):
    place = f"`data_dir` {str(data_dir)!r}" if data_dir else "tensorflow-datasets' own folder"
    return f"{name} is not prepared in {place}: there is no {str(folder)!r}. {how}"


def put_in_place(place, overwrite, write):
    """Write a set atomically: its folder gets its name when it is complete.

    Args:
        place: pathlib.Path, the folder of the set.
        overwrite: bool, replace what is there.
        write: function (folder for tensorflow-datasets) -> the builder that has written there.

    Returns:
        `place`.

    Raises:
        FileExistsError: the set is prepared already, and `overwrite` is False.
    """
    if place.exists() and not overwrite:
        raise FileExistsError(f"{str(place)!r} exists; --overwrite replaces it")
    made = [folder for folder in place.parents if not folder.exists()]
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        with atomic_write(place) as temporary:
            folder = temporary.with_name("prepared")
            os.replace(write(folder).data_dir, temporary)
            shutil.rmtree(folder)
    except BaseException:
        for folder in made:  # a failure leaves no empty folder
            folder.rmdir()
        raise
    return place
