"""The checkpoint of a training by `gpu_loop`: one file, from which it resumes bit for bit."""

import json
import zipfile

import numpy as np

from keras_ssc.training.run_folder import RunFolderError, beside

CHECKPOINT = "gpu.npz"


def save(training, folder, setting, epochs, stateful):
    """Write everything that the next epoch needs; the old file is replaced when it is complete."""
    about = {
        "run": setting.key,
        "epoch": epochs,
        "states": [one.get_state() for one in stateful],
    }
    arrays = {
        f"{name} {place}": np.array(value)
        for name, values in training.state._asdict().items()
        for place, value in enumerate(values)
    }
    with beside(folder / CHECKPOINT) as temporary, open(temporary, "wb") as file:
        np.savez(file, about=json.dumps(about), **arrays)


def load(training, folder, setting, stateful):
    """Bring a training to its checkpoint; return the epochs that are done, 0 without one."""
    path = folder / CHECKPOINT
    if not path.exists():
        return 0
    try:
        with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
            about = json.loads(str(file["about"]))
            if about["run"] != setting.key:
                raise ValueError("it belongs to another run")
            state = {
                name: [file[f"{name} {place}"] for place in range(len(values))]
                for name, values in training.state._asdict().items()
            }
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise RunFolderError(
            f"{str(path)!r} can't be read ({error}). Remove it to start this run afresh."
        ) from error
    training.state = training.state._replace(**state)
    for one, values in zip(stateful, about["states"], strict=True):
        one.set_state(values)
    return about["epoch"]
