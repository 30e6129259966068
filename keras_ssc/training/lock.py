"""One process at a time in a folder: a lock that ends with the process that holds it."""

import errno
import json
import os
import socket
import time
from contextlib import contextmanager, suppress

from filelock import FileLock, Timeout

from keras_ssc.atomic_write import remove_leftovers
from keras_ssc.training.run_folder import RunFolderError

# The lock, and beside it who has it: on Windows a locked file can't be read.
LOCK, HOLDER = ".lock", ".lock-holder"
_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP}
_SECONDS = 0.2  # a holder that is just leaving is waited for


class FolderInUseError(RunFolderError):
    """Another process works in the folder; the message names it.

    Example:

    >>> issubclass(FolderInUseError, RunFolderError)
    True
    """


@contextmanager
def locked(folder):
    """Make a folder and hold it, until the block ends or the process dies in whatever way.

    The system frees the lock, not its holder: what a killed process has left locks nothing, and is
    removed. On file systems without locks, nothing is locked.

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
        lock = _acquired(folder)
        own = {"pid": os.getpid(), "host": socket.gethostname()}
        own["since"] = time.strftime("%Y-%m-%d %H:%M:%S")
        (folder / HOLDER).write_text(json.dumps(own), encoding="utf-8")
    except OSError as error:
        raise RunFolderError(f"{str(folder)!r} can't be a run folder: {error}") from error
    try:
        remove_leftovers(folder)
        yield
    finally:
        _release(folder, lock)


def _acquired(folder):
    """Return the `FileLock` that we hold."""
    lock = FileLock(folder / LOCK, timeout=_SECONDS)
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire()
        except FileNotFoundError:  # the holder before us has just removed the folder
            continue
        except Timeout as error:
            raise FolderInUseError(f"{str(folder)!r} is in use by {_holder(folder)}.") from error
        except NotImplementedError:
            pass
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        return lock


def _release(folder, lock):
    """Remove our files while nobody else can have them, and let the folder go."""
    (folder / HOLDER).unlink(missing_ok=True)
    with suppress(PermissionError):  # on Windows: it is open
        (folder / LOCK).unlink(missing_ok=True)
    lock.release()
    if os.name == "nt":
        with suppress(PermissionError):  # another process was faster
            (folder / LOCK).unlink(missing_ok=True)


def _holder(folder):
    try:
        holder = json.loads((folder / HOLDER).read_text(encoding="utf-8"))
        return f"process {holder['pid']} on {holder['host']} since {holder['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "a process that has just begun"
