"""Packed image sets: the same to the bit, without TensorFlow, and nothing damaged is read."""

import bz2
import dataclasses
import hashlib
import json
import shutil

import numpy as np
import pytest

from keras_ssc import datasets
from keras_ssc.datasets.packed import is_packed, pack, read_packed


def image_set(train=23, test=9, **changes):
    """A set of random images, black and white ones among them, that are not square."""
    random = np.random.default_rng(0)
    fields = {}
    for split, images in (("train", train), ("test", test)):
        x = random.integers(0, 256, (images, 4, 6, 3), "uint8")
        x[0], x[1], x[2, ::2] = 0, 255, 255
        fields |= {f"x_{split}": x, f"y_{split}": random.integers(0, 3, images).astype("int32")}
    fields |= {"class_names": ("a", "b", "ç"), "mean": (0.1, 0.2, 1 / 3), "std": (0.3, 0.3, 0.3)}
    return datasets.Dataset(**{"name": "cifar10", "flip": True, **fields, **changes})


def put_together(folders, folder):
    """Copy the files of several folders into one."""
    for one in folders:
        shutil.copytree(one, folder, dirs_exist_ok=True)
    return folder


@pytest.fixture
def packed(tmp_path):
    """A folder with a packed set: training parts of 5, 5, 5, 5 and 3 images, test parts of 5, 4."""
    folders = [tmp_path / "one", tmp_path / "two"]
    pack(image_set(), folders, images=5)
    return put_together(folders, tmp_path / "both")


def test_what_is_read_is_what_was_packed(packed):
    read, whole = datasets.load("cifar10", packed), image_set()
    for field in dataclasses.fields(whole):
        before, after = getattr(whole, field.name), getattr(read, field.name)
        if isinstance(before, np.ndarray):
            assert after.dtype == before.dtype
            np.testing.assert_array_equal(after, before)
        else:
            assert after == before


def test_a_part_holds_labels_and_differences(packed):
    whole = image_set()
    plain = bz2.decompress((packed / "cifar10-train-01.bz2").read_bytes())
    x, y = whole.x_train[5:10].astype(int), whole.y_train[5:10]
    assert list(plain[:5]) == y.tolist()
    stored = np.frombuffer(plain[5:], "uint8").reshape(3, 5, 4, 6)
    x[..., 0] -= x[..., 1]
    x[..., 2] -= x[..., 1]
    for channel, image, row, column in np.ndindex(stored.shape):

        def at(i, j, image=image, channel=channel):
            return x[image, i, j, channel] if min(i, j) >= 0 else 0

        guess = at(row, column - 1) + at(row - 1, column) - at(row - 1, column - 1)
        assert stored[channel, image, row, column] == (at(row, column) - guess) % 256


def test_each_folder_has_its_share_and_the_list(tmp_path):
    folders = [tmp_path / name for name in ("a", "b", "c")]
    pack(image_set(), folders, images=5)
    assert [len(list(folder.glob("*.bz2"))) for folder in folders] == [3, 2, 2]
    lists = [(folder / "cifar10-packed.json").read_bytes() for folder in folders]
    assert len(set(lists)) == 1
    with pytest.raises(FileExistsError, match=r"'.*b' already"):
        pack(image_set(), [tmp_path / "d", folders[1]])
    assert not (tmp_path / "d").exists()


def test_without_a_list_the_set_is_looked_for_elsewhere(packed, tmp_path):
    assert is_packed("cifar10", str(packed))
    assert not is_packed("cifar100", packed)
    assert not is_packed("cifar10", None)
    assert not is_packed("cifar10", tmp_path / "nowhere")


def test_missing_parts_are_named(packed, tmp_path):
    with pytest.raises(ValueError, match=r"one' lacks cifar10-train-04.bz2, cifar10-test-00.bz2, "):
        read_packed("cifar10", tmp_path / "one")
    (packed / "cifar10-packed.json").unlink()
    with pytest.raises(ValueError, match=r"cifar10-packed.json' is no list of packed images"):
        read_packed("cifar10", packed)


@pytest.mark.parametrize("name", ["cifar10-train-04.bz2", "cifar10-test-01.bz2"])
@pytest.mark.parametrize("damage", ["cut", "changed", "another", "empty"])
def test_a_damaged_part_is_named(packed, name, damage):
    file = packed / name
    data = bytearray(file.read_bytes())
    if damage == "another":
        data = (packed / "cifar10-train-00.bz2").read_bytes()
    elif damage == "changed":
        data[len(data) // 2] ^= 1
    else:
        data = data[: -1 if damage == "cut" else 0]
    file.write_bytes(data)
    with pytest.raises(ValueError, match=f"{name}' can't be read as packed images: its SHA-256"):
        datasets.load("cifar10", packed)


@pytest.mark.parametrize(
    ("plain", "words"),
    [
        (bytes(4 * 73 - 1), "does not hold 4 images"),
        (bytes(10_000_000), "does not hold 4 images"),
        (b"\1\2\3\0" + bytes(4 * 72), "label 3 of 3 classes"),
        (None, "Invalid data stream"),
    ],
)
def test_a_part_of_the_right_hash_is_looked_at_too(packed, plain, words):
    data = b"no archive" if plain is None else bz2.compress(plain)
    (packed / "cifar10-test-01.bz2").write_bytes(data)
    path = packed / "cifar10-packed.json"
    about = json.loads(path.read_text())
    about["test"][1][1] = hashlib.sha256(data).hexdigest()
    path.write_text(json.dumps(about))
    with pytest.raises(ValueError, match=f"cifar10-test-01.bz2' can't be read.*{words}"):
        read_packed("cifar10", packed)


@pytest.mark.parametrize(
    "change",
    [
        {"name": "cifar100"},
        {"shape": [4, 6]},
        {"shape": [4, 0, 3]},
        {"shape": [4, 6, 1]},
        {"shape": None},
        {"train": [["many", "x"]]},
        {"test": 3},
        {"mean": None},
    ],
)
def test_a_list_that_can_not_be_is_refused(packed, change):
    path = packed / "cifar10-packed.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ValueError, match=r"cifar10-packed.json' is no list of packed images"):
        read_packed("cifar10", packed)
    path.write_text("[")
    with pytest.raises(ValueError, match="is no list"):
        read_packed("cifar10", packed)


def test_what_can_not_be_packed_is_refused(tmp_path):
    whole = image_set()
    for changes, words in [
        ({"x_train": whole.x_train.astype("float32")}, "`dataset` must hold uint8.*float32"),
        ({"x_test": whole.x_test[..., :1]}, r"`dataset` must hold uint8.*\(9, 4, 6, 1\)"),
        ({"x_test": whole.x_test[:0]}, r"`dataset` must hold uint8.*\(0, 4, 6, 3\)"),
        ({"class_names": ("x",) * 257}, "at most 256 classes. Received: 257"),
    ]:
        with pytest.raises(ValueError, match=words):
            pack(dataclasses.replace(whole, **changes), [tmp_path / "a"])
    with pytest.raises(ValueError, match="`folders` must name"):
        pack(whole, [])
    with pytest.raises(ValueError, match="`images` must be at least 1"):
        pack(whole, [tmp_path / "a"], images=0)
    assert not (tmp_path / "a").exists()
