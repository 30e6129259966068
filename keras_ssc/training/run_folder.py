"""The folder of a run: every file is written beside its place and renamed when it is whole."""

import csv
import dataclasses
import json
import os
import platform
import shutil
import tempfile
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

import keras


class RunFolderError(RuntimeError):
    """The run folder can't be used; the message says why and what to do.

    Example:

    >>> raise RunFolderError("the disk is full")
    Traceback (most recent call last):
    keras_ssc.training.run_folder.RunFolderError: the disk is full
    """


@contextmanager
def beside(path):
    """Yield a path beside `path`, on success renamed to it; nothing is left after a failure.

    Example:

        with beside(folder / "metrics.csv") as temporary:
            temporary.write_text("...")
    """
    path = Path(path)
    try:
        holder = Path(tempfile.mkdtemp(prefix=".writing-", dir=path.parent))
    except OSError as error:
        raise RunFolderError(f"{str(path.parent)!r} can't be written: {error}") from error
    try:
        temporary = holder / path.name
        yield temporary
        _flush(temporary)
        if path.is_dir():
            shutil.rmtree(path)
        os.replace(temporary, path)
    except OSError as error:
        raise RunFolderError(f"{str(path)!r} can't be written: {error}") from error
    finally:
        shutil.rmtree(holder, ignore_errors=True)


def remove_leftovers(folder):
    """Remove what a run that was killed while it wrote has left beside its files."""
    for holder in Path(folder).glob(".writing-*"):
        shutil.rmtree(holder, ignore_errors=True)


def _flush(path):
    """Bring a file from the system's buffers to the disk, before its name changes."""
    if path.is_file():
        with open(path, "rb+") as file:
            os.fsync(file.fileno())


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


def environment():
    """Return versions, backend and hardware as a dict."""
    versions = {"python": platform.python_version()}
    for package in ("keras-ssc", "keras", "tensorflow", "jax", "numpy"):
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = None
    return {
        "versions": versions,
        "backend": keras.backend.backend(),
        "hardware": {
            "machine": platform.machine(),
            "system": platform.system(),
            "cpu": _cpu(),
            "cpu_count": os.cpu_count(),
            "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS"),
        },
    }


def _cpu():
    """Name and vector instructions of the CPU, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return {"name": platform.processor(), "vector": None}
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    fields = {key.strip(): value.strip() for key, value in fields.items()}
    flags = (fields.get("flags") or fields.get("Features") or "").split()
    known = ("asimd", "avx", "avx2", "fma", "avx512f", "avx512_bf16", "amx_tile")
    return {
        "name": fields.get("model name", platform.processor()),
        "vector": [flag for flag in known if flag in flags],
    }
