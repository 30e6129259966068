"""A file written beside its place and renamed when it is whole."""

import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path


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
    """Yield a path to write to; on success it is renamed to `path`, else nothing is left.

    Args and Raises: as `check_new_file`.

    Example:

    >>> with new_file("counts.csv", ".csv") as temporary:
    ...     _ = temporary.write_text("1,2")
    >>> Path("counts.csv").read_text()
    '1,2'
    """
    path = check_new_file(path, suffix, overwrite)
    holder = Path(tempfile.mkdtemp(prefix=".writing-", dir=path.parent))
    try:
        temporary = holder / path.name
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(
                file.fileno()
            )  # from the system's buffers to the disk, before the name changes
        os.replace(temporary, path)
    finally:
        shutil.rmtree(holder, ignore_errors=True)
