"""One process at a time in a folder: a lock that ends with the process that holds it."""

import json
import os
import socket
import time
from contextlib import contextmanager

from keras_ssc.atomic_write import remove_leftovers
from keras_ssc.training.run_folder import RunFolderError

try:
    import fcntl
except ImportError:  # Windows has no such lock
    fcntl = None

LOCK = ".lock"


class FolderInUseError(RunFolderError):
    """Another process works in the folder; the message names it.

    Example:

    >>> issubclass(FolderInUseError, RunFolderError)
    True
    """


@contextmanager
def locked(folder):
    """Make a folder and hold it, until the block ends or the process dies in whatever way.

    The system frees the lock, not its holder: what a killed process has left locks nothing. On
    Windows, and on file systems without locks, nothing is locked.

    Args:
        folder: Path.

    Raises:
        FolderInUseError: another process holds it.
        RunFolderError: it can't be made or written.

    Example:

        with locked(Path("runs/digits")):
            ...
    """
    try:
        file = _taken(folder)
    except OSError as error:
        raise RunFolderError(f"{str(folder)!r} can't be a run folder: {error}") from error
    try:
        remove_leftovers(folder)  # nobody else writes here
        yield
    finally:
        (folder / LOCK).unlink(missing_ok=True)
        file.close()


def _taken(folder):
    """Return the open file whose lock is ours, with our name in it."""
    path = folder / LOCK
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file = open(path, "a+", encoding="utf-8")  # noqa: SIM115 (open, it is the lock)
        except FileNotFoundError:  # the holder before us has just removed the folder
            continue
        try:
            if not _lock(file):
                raise FolderInUseError(f"{str(folder)!r} is in use by {_holder(file)}.")
            if os.name == "nt" or _is(path, file):
                file.truncate(0)
                own = {"pid": os.getpid(), "host": socket.gethostname()}
                file.write(json.dumps(own | {"since": time.strftime("%Y-%m-%d %H:%M:%S")}))
                file.flush()
                return file
        except BaseException:
            file.close()
            raise
        # The holder before us removed the file after we had opened it: what we hold has no name.
        file.close()


def _lock(file):
    """Return False where another process has the lock."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass  # a file system without locks
    return True


def _is(path, file):
    try:
        return os.path.samestat(os.stat(path), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _holder(file):
    file.seek(0)
    try:
        holder = json.loads(file.read())
        return f"process {holder['pid']} on {holder['host']} since {holder['since']}"
    except (ValueError, KeyError, TypeError):
        return "a process that has just begun"
