"""Files are written to a temporary path beside their own, and renamed when complete and checked."""

import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def beside(path):
    """Yield a path in a new folder beside `path`; on success all files there move to their places.

    After a failure nothing is left, and what stood at `path` still stands there.

    Example:

        with beside(Path("model.onnx")) as temporary:
            temporary.write_bytes(content)
    """
    holder = Path(tempfile.mkdtemp(prefix=".writing-", dir=path.parent))
    try:
        new, old = holder / "new", holder / "old"
        new.mkdir()
        old.mkdir()
        yield new / path.name
        for file in sorted(new.iterdir()):
            target = path.parent / file.name
            if target.exists():
                os.replace(target, old / file.name)
            os.replace(file, target)
    finally:
        shutil.rmtree(holder, ignore_errors=True)


def size(path):
    """Return the bytes of a file, or of all files in a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
