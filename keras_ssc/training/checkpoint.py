"""Checkpoints: a `.keras` file that also says where its training stands; the last two are kept."""

import json
import os
import zipfile
from contextlib import suppress

import keras

from keras_ssc.training.run_folder import RunFolderError, beside

LAST, BEFORE, DAMAGED = "last.keras", "before.keras", "damaged.keras"
_PROGRESS = "training.json"  # in the archive, beside Keras's own files


def save_checkpoint(model, folder, progress):
    """Write last.keras; the one that it replaces becomes before.keras.

    Args:
        model: a compiled `keras.Model`.
        folder: Path.
        progress: dict that JSON can hold, with the name of the run as `run`.

    Raises:
        RunFolderError: the file can't be written; last.keras is as before then.

    Example:

        save_checkpoint(model, folder, {"run": "digits", "epoch": 3, "step": 0})
    """
    progress = progress | {"iterations": _iterations(model)}
    with beside(folder / LAST, keep=folder / BEFORE) as temporary:
        model.save(temporary)
        with zipfile.ZipFile(temporary, "a") as archive:
            archive.writestr(_PROGRESS, json.dumps(progress))


def load_checkpoint(model, folder, run, say=print):
    """Bring a compiled model, freshly built, to the state of the newest intact checkpoint.

    Only numbers are read into it: nothing of the file is executed. A newest checkpoint that is
    damaged is renamed to damaged.keras, and the one before is taken.

    Args:
        model: a compiled `keras.Model`.
        folder: Path.
        run: str, the name that `progress` must have as `run`.
        say: function that takes a line.

    Returns:
        The dict `progress` of `save_checkpoint`; {} where there is no checkpoint.

    Raises:
        RunFolderError: there are checkpoints, and none can be used.

    Example:

        progress = load_checkpoint(model, folder, "digits")
    """
    faults = []
    for path in (folder / LAST, folder / BEFORE):
        if not path.exists():
            continue
        try:
            progress = _load(model, path, run)
        except Exception as error:
            faults.append(f"{str(path)!r} can't be read; it may be truncated or foreign ({error}).")
            continue
        if faults:
            with suppress(FileNotFoundError):  # another process of this training was faster
                os.replace(folder / LAST, folder / DAMAGED)
            say(f"{faults[0]} It is now {DAMAGED}. Going back to the checkpoint before it.")
        return progress
    if faults:
        raise RunFolderError(
            f"{' '.join(faults)} Remove what can't be read to start this run afresh, or choose "
            "another folder."
        )
    return {}


def _iterations(model):
    return int(keras.ops.convert_to_numpy(model.optimizer.iterations))


def _load(model, path, run):
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
        if damaged:
            raise ValueError(f"its part {damaged} is damaged")
        progress = json.loads(archive.read(_PROGRESS))
    if progress["run"] != run:
        raise ValueError("it belongs to another run")
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    model.load_weights(path)
    if _iterations(model) != progress["iterations"]:
        raise ValueError("its optimizer is of another step")
    return progress
