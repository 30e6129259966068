"""The folder of a run: its files, written atomically, and the checks before it is used."""

import csv
import dataclasses
import json
from contextlib import contextmanager

from keras_ssc.atomic_write import atomic_write, is_leftover
from keras_ssc.training.config import MACHINE, TrainingConfig, is_folder
from keras_ssc.training.environment import environment


class RunFolderError(RuntimeError):
    """The run folder can't be used; the message says why and what to do.

    Example:

    >>> raise RunFolderError("the disk is full")
    Traceback (most recent call last):
    keras_ssc.training.run_folder.RunFolderError: the disk is full
    """


@contextmanager
def beside(path, keep=None):
    """Write a file of a run with `atomic_write`; an `OSError` becomes a `RunFolderError`.

    Example:

        with beside(folder / "metrics.csv") as temporary:
            temporary.write_text("...")
    """
    try:
        with atomic_write(path, keep) as temporary:
            yield temporary
    except OSError as error:
        raise RunFolderError(f"{str(path)!r} can't be written: {error}") from error


def open_folder(folder, resume):
    """Return the results of a finished run, None where there is work to do.

    Raises:
        RunFolderError: there is something else in the folder, or a run, and `resume` is False.
    """
    # Our lock, and what a kill during the first write has left, are no files of a run.
    files = [
        path
        for path in folder.iterdir()
        if not path.name.startswith(".lock") and not is_leftover(path)
    ]
    taken = bool(files)
    if taken and not resume:
        raise RunFolderError(
            f"{str(folder)!r} is not empty. --resume resumes its run; or name another folder."
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


def write_config(folder, config, images=None):
    """Write settings.json: the config, and the versions and hardware of this run.

    Args:
        folder: Path of the run.
        config: `TrainingConfig`.
        images: dict of the numbers of images that are streamed, `training` and `test`; or None.
    """
    record = {"settings": dataclasses.asdict(config), **environment()}
    _write_record(folder, record if images is None else record | {"images": images})


def _write_record(folder, record):
    with beside(folder / "settings.json") as temporary:
        temporary.write_text(json.dumps(record, indent=2) + "\n")


def read_config(folder, **changes):
    """Return the `TrainingConfig` that a run was started with.

    Args:
        folder: Path of the run.
        **changes: fields that are different now.

    Raises:
        RunFolderError: there is none, or a newer version wrote it.
        ValueError, TypeError: a change is out of range.
    """
    # The devices are those of the machine that resumes.
    here = set(MACHINE) - {"data_dir"}
    fields = {name: value for name, value in _read_fields(folder).items() if name not in here}
    try:
        before = TrainingConfig(**fields)
    except (ValueError, TypeError) as error:
        if not changes:
            advice = ". If the images have moved, give their new folder, too: --data FOLDER"
            raise RunFolderError(
                f"{str(folder / 'settings.json')!r} can't be used: {error}"
                + advice * is_folder(str(fields.get("dataset", "digits")))
            ) from error
        return TrainingConfig(**fields | changes)
    return dataclasses.replace(before, **changes)


def check_config(folder, config, may_move=False):
    """Refuse to resume a run that was started with other settings.

    Args:
        folder: Path of the run.
        config: `TrainingConfig`.
        may_move: bool, accept another folder of images.

    Returns:
        Whether the folder of images is another: `accept_moved` is called then.
    """
    before = _read_fields(folder)
    now = json.loads(json.dumps(dataclasses.asdict(config)))
    defaults = {field.name: field.default for field in dataclasses.fields(config)}
    was = {name: before.get(name, defaults[name]) for name in now}
    changed = [name for name in now if now[name] != was[name] and name not in MACHINE]
    if may_move and changed == ["dataset"] and all(is_folder(one["dataset"]) for one in (now, was)):
        return True
    if changed:
        words = ", ".join(f"{name} was {was[name]}, is {now[name]}" for name in changed)
        raise RunFolderError(
            f"The run in {str(folder)!r} was started with other settings: {words}. "
            "Give the same ones, or choose another --run-dir."
        )
    return False


def accept_moved(folder, config, class_names, images):
    """Note in settings.json that the images of a run are in another folder now.

    Args:
        folder: Path of the run.
        config: `TrainingConfig` with the new folder.
        class_names: tuple of str, the classes that are there.
        images: dict of the numbers of images that are there, as for `write_config`.

    Raises:
        RunFolderError: these are not the classes of the run, or not as many images.
    """
    record = json.loads((folder / "settings.json").read_text())
    try:
        classes = (folder / "classes.txt").read_text(encoding="utf-8").splitlines()
    except OSError:
        classes = []
    before, now = (classes, record.get("images")), (list(class_names), images)
    if before != now:
        known = f"{before[1]}, classes {before[0]}" if before[1] else "not recorded"
        raise RunFolderError(
            f"{config.dataset!r} must hold as many images of the same classes as "
            f"{record['settings']['dataset']!r}, with which the run in {str(folder)!r} was "
            f"started: {known}. Received: {images}, classes {list(class_names)}"
        )
    record["settings"]["dataset"] = config.dataset
    _write_record(folder, record)


def _read_fields(folder):
    """The fields of settings.json; those that came later are missing."""
    path = folder / "settings.json"
    try:
        fields = dict(json.loads(path.read_text())["settings"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise RunFolderError(
            f"{str(path)!r} can't be read ({error}). Choose another --run-dir."
        ) from error
    unknown = set(fields) - {field.name for field in dataclasses.fields(TrainingConfig)}
    if unknown:
        raise RunFolderError(
            f"{str(path)!r} has settings that this version does not know: {sorted(unknown)}. "
            "A newer version of keras-ssc has written it."
        )
    return fields
