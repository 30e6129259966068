"""Write files atomically: to a temporary path, flushed to the disk, renamed when complete."""

import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

_WRITING, _REPLACED = ".writing-", ".replaced"


@contextmanager
def atomic_write(path, keep=None):
    """Yield a temporary path beside `path`, renamed to `path` on success; a failure leaves nothing.

    What was written is on the disk before its name changes, and the new name before the block is
    left: after a power cut there is the old file or the new one. Files written beside the temporary
    path, with other names, move along.

    Args:
        path: str or Path, of a file or a folder to write.
        keep: Path or None, the name that the old file gets; None: it is replaced.

    Raises:
        OSError: it can't be written; what stood at `path` still stands there.

    Example:

    >>> with atomic_write("counts.csv") as temporary:
    ...     _ = temporary.write_text("1,2")
    >>> Path("counts.csv").read_text()
    '1,2'
    """
    path = Path(path)
    holder = Path(tempfile.mkdtemp(prefix=_WRITING, dir=path.parent))
    try:
        yield holder / path.name
        written = sorted(holder.iterdir())
        if holder / path.name not in written:
            raise FileNotFoundError(f"nothing was written as {str(path)!r}")
        for file in [*written, *(inner for one in written for inner in one.rglob("*"))]:
            _flush(file)
        for file in written:
            _put(file, path.parent / file.name, keep if file.name == path.name else None)
        _flush(path.parent)
    finally:
        shutil.rmtree(holder, ignore_errors=True)


def remove_leftovers(folder):
    """Remove what a process that was killed while it wrote has left beside its files."""
    for holder in Path(folder).glob(f"{_WRITING}*"):
        shutil.rmtree(holder, ignore_errors=True)


def is_leftover(path):
    """Return whether a path is what `remove_leftovers` removes."""
    return path.name.startswith(_WRITING)


def _put(file, target, keep):
    """Rename `file` to `target`; what stands there gets the name `keep`, or is replaced."""
    if keep and target.exists():
        os.replace(target, keep)
    if not target.is_dir() and not (target.exists() and file.is_dir()):
        os.replace(file, target)  # in one step, for files
        return
    old = file.with_name(_REPLACED)
    os.replace(target, old)
    try:
        os.replace(file, target)
    except OSError:
        os.replace(old, target)
        raise
    shutil.rmtree(old) if old.is_dir() else old.unlink()


def _flush(path):
    """Bring a file, or the names in a folder, from the system's buffers to the disk."""
    if os.name == "nt":  # there, folders can't be opened, and files only for writing
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def check_new_file(path, suffix, overwrite=False):
    """Return `path` as a `Path` if a file may be written there.

    Args:
        path: str or path; its folder must exist.
        suffix: str, how the name must end, such as `".keras"`.
        overwrite: bool, whether a file may be there already.

    Raises:
        ValueError: another suffix, or a folder stands there.
        FileExistsError: a file stands there, and `overwrite` is False.
        FileNotFoundError: the folder of `path` does not exist.
    """
    path = Path(path)
    if path.suffix != suffix:
        raise ValueError(f"The file's name must end in {suffix}. Received: {str(path)!r}")
    if path.is_dir():
        raise ValueError(f"A folder stands where the file should be: {str(path)!r}")
    if path.exists() and not overwrite:
        raise FileExistsError(f"{str(path)!r} exists. Choose another name, or --overwrite it.")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"The folder {str(path.parent)!r} does not exist.")
    return path


@contextmanager
def new_file(path, suffix, overwrite=False):
    """Yield a temporary path, as `atomic_write`, after the checks of `check_new_file`."""
    with atomic_write(check_new_file(path, suffix, overwrite)) as temporary:
        yield temporary
