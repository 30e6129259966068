"""The folder of a run: every file is written beside its place and renamed when it is whole."""

import csv
import dataclasses
import json
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

from keras_ssc.training.environment import environment

_WRITING = ".writing-"


class RunFolderError(RuntimeError):
    """The run folder can't be used; the message says why and what to do.

    Example:

    >>> raise RunFolderError("the disk is full")
    Traceback (most recent call last):
    keras_ssc.training.run_folder.RunFolderError: the disk is full
    """


@contextmanager
def beside(path, keep=None):
    """Yield a path beside `path`, on success renamed to it; nothing is left after a failure.

    What was written is on the disk before its name changes, and the new name before the block is
    left: after a power cut there is the old file or the new one.

    Args:
        path: str or Path.
        keep: Path or None, the name that the old file gets.

    Raises:
        RunFolderError: it can't be written; the message names the path.

    Example:

        with beside(folder / "metrics.csv") as temporary:
            temporary.write_text("...")
    """
    path = Path(path)
    try:
        holder = Path(tempfile.mkdtemp(prefix=_WRITING, dir=path.parent))
    except OSError as error:
        raise RunFolderError(f"{str(path.parent)!r} can't be written: {error}") from error
    try:
        temporary = holder / path.name
        yield temporary
        for file in [temporary, *temporary.rglob("*")]:
            _flush(file)
        if path.is_dir():
            shutil.rmtree(path)
        if keep and path.exists():
            os.replace(path, keep)
        os.replace(temporary, path)
        _flush(path.parent)
    except OSError as error:
        raise RunFolderError(f"{str(path)!r} can't be written: {error}") from error
    finally:
        shutil.rmtree(holder, ignore_errors=True)


def remove_leftovers(folder):
    """Remove what a run that was killed while it wrote has left beside its files."""
    for holder in Path(folder).glob(f"{_WRITING}*"):
        shutil.rmtree(holder, ignore_errors=True)


def _flush(path):
    """Bring a file, or the names in a folder, from the system's buffers to the disk."""
    if os.name == "nt":  # there, folders can't be opened, and files only for writing
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def open_folder(folder, resume):
    """Return the results of a finished run, None where there is work to do.

    Raises:
        RunFolderError: there is something else in the folder, or a run, and `resume` is False.
    """
    # Our lock, and what a kill in the middle of the very first file has left, are no files.
    taken = any(not path.name.startswith((".lock", _WRITING)) for path in folder.iterdir())
    if taken and not resume:
        raise RunFolderError(
            f"{str(folder)!r} is not empty. --resume goes on with its run; or name another folder."
        )
    if not (folder / "results.json").exists():
        if taken and not (folder / "settings.json").exists():
            raise RunFolderError(
                f"{str(folder)!r} holds files, but no run. Choose another --run-dir."
            )
        return None
    try:
        return json.loads((folder / "results.json").read_text())
    except (OSError, ValueError) as error:
        raise RunFolderError(
            f"results.json in {str(folder)!r} can't be read ({error}). Remove it: it is made anew."
        ) from error


def write_csv(path, rows):
    """Write a list of dicts with the same keys."""
    with beside(path) as temporary, open(temporary, "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def read_csv(path):
    """Return the rows of `write_csv`, numbers as floats and epochs as ints; [] without the file."""
    if not path.exists():
        return []
    try:
        with open(path, newline="") as file:
            rows = [{key: float(one) for key, one in row.items()} for row in csv.DictReader(file)]
        return [{**row, "epoch": int(row["epoch"])} for row in rows]
    except (OSError, ValueError, KeyError, TypeError, OverflowError, csv.Error) as error:
        raise RunFolderError(f"{str(path)!r} can't be read: {error}") from error


def write_settings(folder, settings):
    """Write settings.json: the settings, and the versions and hardware of this run."""
    record = {"settings": dataclasses.asdict(settings), **environment()}
    with beside(folder / "settings.json") as temporary:
        temporary.write_text(json.dumps(record, indent=2) + "\n")


def check_settings(folder, settings):
    """Refuse to go on with a run that was started with other settings."""
    path = folder / "settings.json"
    try:
        before = dict(json.loads(path.read_text())["settings"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise RunFolderError(
            f"{str(path)!r} can't be read ({error}). Choose another --run-dir."
        ) from error
    now = json.loads(json.dumps(dataclasses.asdict(settings)))
    # Where the images lie does not change what is learnt.
    changed = [name for name in now if now[name] != before.get(name) and name != "data_dir"]
    if changed:
        words = ", ".join(f"{name} was {before.get(name)}, is {now[name]}" for name in changed)
        raise RunFolderError(
            f"The run in {str(folder)!r} was started with other settings: {words}. "
            "Give the same ones, or choose another --run-dir."
        )
