"""Files that version 0.1 saved load in this one, and compute what they computed."""

from pathlib import Path

import keras
import numpy as np
import pytest

import keras_ssc

pytestmark = pytest.mark.jax_long

FOLDER = Path(__file__).parent / "files_of_0_1"
FILES = sorted(file.stem for file in FOLDER.glob("*.keras"))


def loaded(name):
    return keras.models.load_model(FOLDER / f"{name}.keras")


def close(actual, expected):
    actual = keras.ops.convert_to_numpy(actual)
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


def test_all_files_are_here():
    assert FILES == [
        "channels_first", "folded", "more_patterns", "network", "options", "patterns",
    ]  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_a_file_computes_what_it_computed(name):
    model, stored = loaded(name), np.load(FOLDER / f"{name}.npz")
    close(model(stored["x"], training=False), stored["y"])
    close(model.predict(stored["x"], verbose=0), stored["y"])


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_saved_again_alike(name, tmp_path):
    stored = np.load(FOLDER / f"{name}.npz")
    loaded(name).save(tmp_path / "again.keras")
    again = keras.models.load_model(tmp_path / "again.keras")
    close(again(stored["x"], training=False), stored["y"])


def test_a_network_folds():
    stored = np.load(FOLDER / "network.npz")
    close(keras_ssc.fold(loaded("network"))(stored["x"]), stored["y"])
