"""Interrupted: SIGTERM in mid-epoch, damaged checkpoints, two processes in one folder."""

import json
import os
import random
import signal
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest

from keras_ssc import pruning
from keras_ssc.atomic_write import atomic_write, remove_leftovers
from keras_ssc.datasets import Batches
from keras_ssc.training import CoupledSGD
from keras_ssc.training.checkpoint import BEFORE, DAMAGED, LAST, load_checkpoint, save_checkpoint
from keras_ssc.training.lock import LOCK, FolderInUseError, locked
from keras_ssc.training.loop import Checkpoints, fit
from keras_ssc.training.run_folder import RunFolderError, beside
from keras_ssc.training.sigterm import Terminated, Termination

EPOCHS = 3
X = np.random.default_rng(0).integers(0, 256, (22, 8, 8, 2)).astype("uint8")
Y = np.arange(22) % 3
REWIRINGS = {
    "none": None,
    "SET": lambda: pruning.SET(update_every=2),
    "RigL": lambda: pruning.RigL(((X / 255).astype("float32"), Y), update_every=2, batch_size=4),
    "DSR": lambda: pruning.DSR(threshold=0.05, update_every=1),
    # A walk so wild that signs change between two updates.
    "DeepR": lambda: pruning.DeepR(temperatures=(1.0, 1.0, 1.0, 1.0), update_every=2),
}


def small_model(masked):
    """A network with BatchNormalization, masked or not; four steps an epoch drop its rate."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 2)),
            keras.layers.Conv2D(6, 3, name="one"),
            keras.layers.BatchNormalization(name="norm"),
            keras.layers.Flatten(),
            keras.layers.Dense(3, activation="softmax", name="two"),
        ]
    )
    if masked:
        masks = pruning.random_uniform(model, sparsity=0.5, seed=0)
        model = pruning.apply_masks(model, masks)
    rate = keras.optimizers.schedules.PiecewiseConstantDecay([5], [0.1, 0.01])
    optimizer = CoupledSGD(rate, momentum=0.9, l2=1e-4)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


class Killer(keras.callbacks.Callback):
    """Sends this process a signal at a step, and keeps what each epoch says."""

    def __init__(self, step=None):
        super().__init__()
        self.left, self.logs = step, []

    def on_train_batch_end(self, batch, logs=None):
        if self.left is not None:
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGTERM)

    def on_epoch_end(self, epoch, logs=None):
        self.logs.append(logs)


def part(folder, kind, step=None):
    """Train until the end or the signal; return (state, logs of the epochs, rewirings)."""
    rewiring = [REWIRINGS[kind]()] if REWIRINGS[kind] else []
    model, killer = small_model(bool(rewiring)), Killer(step)
    options = {"mean": (0.5, 0.5), "std": (0.3, 0.3)}
    batches = Batches(X, Y, 6, augment=True, pad=1, shuffle=True, seed=3, **options)
    with Termination() as termination:
        found = load_checkpoint(model, folder, "test")
        checkpoints = Checkpoints(folder, "test", len(batches), termination, rewiring, found)
        test = Batches(X, Y, 11, **options)
        callbacks = [*rewiring, killer]
        try:
            fit(model, batches, EPOCHS, callbacks, checkpoints, validation_data=test)
        except Terminated as end:
            return end.where, killer.logs, None
    variables = model.variables + model.optimizer.variables
    state = [keras.ops.convert_to_numpy(variable).copy() for variable in variables]
    return state, killer.logs, [update for one in rewiring for update in one.history]


# SET runs in the campaign: RigL differs from it by what it grows, and keeps more.
SHORT_AND_LONG = [
    pytest.param(kind, marks=pytest.mark.campaign) if kind == "SET" else kind for kind in REWIRINGS
]


@pytest.mark.jax_long
@pytest.mark.parametrize("kind", SHORT_AND_LONG)
def test_a_training_cut_off_at_several_steps_ends_bit_identical(tmp_path, kind):
    (tmp_path / "whole").mkdir()
    (tmp_path / "cut").mkdir()
    state, logs, history = part(tmp_path / "whole", kind)
    end, first, _ = part(tmp_path / "cut", kind, step=3)
    assert end == "after step 3 of epoch 1"
    # Step 4 and the four of epoch 2.
    end, second, _ = part(tmp_path / "cut", kind, step=5)
    assert end == "after epoch 2"
    again, third, same_history = part(tmp_path / "cut", kind)
    for one, two in zip(state, again, strict=True):
        np.testing.assert_array_equal(one, two)
    assert logs == first + second + third
    assert history == same_history
    assert bool(history) == (kind != "none")


def test_a_signal_outside_the_training_ends_it_at_once():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Terminated) as end, Termination():
        signal.raise_signal(signal.SIGTERM)
    assert end.value.code == 143
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.fixture
def two_checkpoints(tmp_path):
    """A folder with checkpoints of epochs 1 and 2, and the model's weights in them."""
    model, weights = small_model(False), []
    model.optimizer.build(model.trainable_variables)
    for epoch in (1, 2):
        save_checkpoint(model, tmp_path, {"run": "test", "epoch": epoch})
        weights.append(model.get_weights()[0].copy())
        model.set_weights([weight + 1 for weight in model.get_weights()])
    return tmp_path, weights


def flip(content):
    """One bit in the middle, where the weights are."""
    content[len(content) // 2] ^= 4
    return content


@pytest.mark.parametrize("damage", [lambda c: c[: len(c) // 2], lambda c: b"", flip])
def test_from_a_damaged_checkpoint_to_the_one_before(two_checkpoints, damage):
    folder, weights = two_checkpoints
    whole = (folder / LAST).read_bytes()
    (folder / LAST).write_bytes(damage(bytearray(whole)))
    assert (folder / LAST).read_bytes() != whole
    model, lines = small_model(False), []
    assert load_checkpoint(model, folder, "test", lines.append)["epoch"] == 1
    np.testing.assert_array_equal(model.get_weights()[0], weights[0])
    assert len(lines) == 1
    assert "Going back" in lines[0]
    # The next one does not push the good one out.
    save_checkpoint(model, folder, {"run": "test", "epoch": 2})
    assert load_checkpoint(model, folder, "test")["epoch"] == 2
    (folder / LAST).unlink()
    assert load_checkpoint(model, folder, "test")["epoch"] == 1
    assert (folder / DAMAGED).exists()


def test_two_damaged_checkpoints_are_refused_and_stay(two_checkpoints):
    folder, _ = two_checkpoints
    for name in (LAST, BEFORE):
        (folder / name).write_bytes(b"no model")
    with pytest.raises(RunFolderError, match=r"last\.keras.*before\.keras") as error:
        load_checkpoint(small_model(False), folder, "test")
    assert "\n" not in str(error.value)
    assert {path.name for path in folder.iterdir()} == {LAST, BEFORE}


def test_no_bit_of_a_checkpoint_can_change_a_number_in_silence(two_checkpoints):
    folder, weights = two_checkpoints
    whole = (folder / LAST).read_bytes()
    model = small_model(False)
    chance, back = random.Random(0), 0
    for _ in range(60):
        content = bytearray(whole)
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        (folder / LAST).write_bytes(content)
        model.set_weights([weight * 0 for weight in model.get_weights()])
        epoch = load_checkpoint(model, folder, "test", lambda line: None)["epoch"]
        back += epoch == 1
        np.testing.assert_array_equal(model.get_weights()[0], weights[epoch - 1])
    assert back > 50


def test_a_file_of_another_program_is_not_a_checkpoint(tmp_path):
    model = small_model(False)
    model.save(tmp_path / LAST)
    with pytest.raises(RunFolderError, match="foreign"):
        load_checkpoint(small_model(False), tmp_path, "test")
    with zipfile.ZipFile(tmp_path / LAST, "a") as archive:
        archive.writestr("training.json", json.dumps({"run": "other", "iterations": 0}))
    with pytest.raises(RunFolderError, match="belongs to another run"):
        load_checkpoint(small_model(False), tmp_path, "test")


HOLD = """
import pathlib, sys, time
from keras_ssc.training.lock import locked
with locked(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_folder_has_one_process_and_a_dead_one_does_not_count(tmp_path):
    command = [sys.executable, "-c", HOLD, tmp_path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(FolderInUseError, match=rf"process {holder.pid} on .* since \d"):
            locked(tmp_path).__enter__()
        holder.kill()
    assert (tmp_path / LOCK).exists()  # it was killed: nobody has removed it
    with locked(tmp_path), pytest.raises(FolderInUseError, match=str(os.getpid())):
        locked(tmp_path).__enter__()
    assert list(tmp_path.iterdir()) == []


def test_what_was_there_stays_when_writing_fails(tmp_path):
    path = tmp_path / "file"
    path.write_text("good")
    with pytest.raises(RunFolderError, match="can't be written"), beside(path):
        raise OSError(28, "No space left on device")
    assert path.read_text() == "good"
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(RunFolderError, match="can't be written"), beside(path / "below"):
        pass


def test_a_folder_is_replaced_and_its_siblings_move_along(tmp_path):
    path = tmp_path / "model"
    for content in ("old", "new"):
        with atomic_write(path) as temporary:
            temporary.mkdir()
            (temporary / content).write_text(content)
            temporary.with_name("beside.bin").write_text(content)
    assert [file.name for file in path.iterdir()] == ["new"]
    assert (tmp_path / "beside.bin").read_text() == "new"
    with atomic_write(path) as temporary:
        temporary.write_text("a file in the place of a folder")
    assert path.is_file()
    assert {file.name for file in tmp_path.iterdir()} == {"model", "beside.bin"}
    with pytest.raises(OSError, match="nothing was written"), atomic_write(path):
        pass
    assert path.is_file()


def test_leftovers_are_removed_and_nothing_else(tmp_path):
    (tmp_path / ".writing-abc").mkdir()
    (tmp_path / ".writing-abc" / "last.keras").write_text("half")
    (tmp_path / "last.keras").write_text("complete")
    remove_leftovers(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["last.keras"]
