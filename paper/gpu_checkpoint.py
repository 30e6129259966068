"""The checkpoint of a training by `gpu_loop`: one file, from which it resumes bit for bit."""

import json
import zipfile
from contextlib import contextmanager

import numpy as np

from keras_ssc.training.environment import environment
from keras_ssc.training.run_folder import RunFolderError, beside

CHECKPOINT = "gpu.npz"


def save(training, folder, setting, epochs, stateful):
    """Write everything that the next epoch needs; the old file is replaced when it is complete."""
    about = {
        "run": setting.key,
        "epoch": epochs,
        "states": [one.get_state() for one in stateful],
        "environment": environment(),
    }
    arrays = {
        f"{name} {place}": np.array(value)
        for name, values in training.state._asdict().items()
        for place, value in enumerate(values)
    }
    with beside(folder / CHECKPOINT) as temporary, open(temporary, "wb") as file:
        np.savez(file, about=json.dumps(about), **arrays)


def load(training, folder, setting, stateful):
    """Bring a training to its checkpoint, if there is one; return the epochs that are done, 0
    without, and the environment in which they were trained, None without.
    """
    if not (folder / CHECKPOINT).exists():
        return 0, None
    with _opened(folder, setting) as (file, about):
        state = {
            name: [file[f"{name} {place}"] for place in range(len(values))]
            for name, values in training.state._asdict().items()
        }
    training.place(training.state._replace(**state))
    for one, values in zip(stateful, about["states"], strict=True):
        one.set_state(values)
    return about["epoch"], about["environment"]


def epochs_done(folder, setting):
    """Return how many epochs the checkpoint of a run has behind it, 0 without one."""
    if not (folder / CHECKPOINT).exists():
        return 0
    with _opened(folder, setting) as (_, about):
        return about["epoch"]


@contextmanager
def _opened(folder, setting):
    """The arrays of a checkpoint, and what it is about."""
    path = folder / CHECKPOINT
    try:
        with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
            about = json.loads(str(file["about"]))
            if about["run"] != setting.key:
                raise ValueError("it belongs to another run")
            yield file, about
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise RunFolderError(
            f"{str(path)!r} can't be read ({error}). Remove it to start this run afresh."
        ) from error
