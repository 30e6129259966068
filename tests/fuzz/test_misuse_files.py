"""Damaged and hostile images, records and run folders: refused in words, nothing executed."""

import io
import json
import pickle

import numpy as np
import pytest
from hostile_files import Canary, damaged
from hypothesis import given
from hypothesis import strategies as st
from misuse import budget, count, finding, refusal, refused

from keras_ssc.datasets.prepare.cifar import read_images
from keras_ssc.datasets.prepare.files import read_examples
from keras_ssc.training.config import TrainingConfig
from keras_ssc.training.run_folder import RunFolderError, check_config, read_csv
from paper import Records
from paper.setting import Setting

Image = pytest.importorskip("PIL.Image")
pytestmark = pytest.mark.fuzz
PICKLE = pickle.dumps(Canary("executed"))


def image(size=(64, 64), kind="JPEG"):
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3)).astype("uint8")
    Image.fromarray(noise).save(buffer, kind)
    return buffer.getvalue()


def packed_images(folder, **changes):
    one = np.frombuffer(image(), "uint8")
    arrays = {"wnids": np.array(["n01", "n02"])}
    for split in ("train", "val"):
        arrays |= {f"{split}_jpeg": np.concatenate([one, one]), f"{split}_labels": np.array([0, 1]),
                   f"{split}_offsets": np.array([0, len(one), 2 * len(one)])}  # fmt: skip
    np.savez(folder / "part.npz", **(arrays | changes))


@budget(30)
@given(data=st.data())
@finding
def test_a_damaged_npz_is_refused_or_the_same(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("npz")
    packed_images(folder)
    whole = list(read_examples(folder, "train"))
    (folder / "part.npz").write_bytes(damaged(data, (folder / "part.npz").read_bytes()))
    found, error = refusal(lambda: list(read_examples(folder, "train")))
    if error is not None:
        refused("files, images", error, ["read"], "npz")
    else:
        assert found == whole
        count("files, images", "the same")


@pytest.mark.parametrize(
    "changes",
    [
        {"train_labels": np.array([0, -1])},
        {"train_labels": np.array([0, 2])},
        {"train_offsets": np.array([0, 10**12, 10**13])},
        {"train_offsets": np.array([0, -5, 3])},
        {"train_offsets": np.array([0, 1])},
        {"wnids": np.array([Canary("executed")], dtype=object)},
    ],
)
def test_hostile_arrays_are_refused(changes, guarded):
    packed_images(guarded, **changes)
    with pytest.raises(ValueError, match=r"part\.npz.*can't be read"):
        list(read_examples(guarded, "train"))
    count("files, images", "refused, ValueError")


def sheets(folder, labels):
    (folder / "train_00.png").write_bytes(image((1280, 800), "PNG"))
    (folder / "train_labels.npy").write_bytes(labels)


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


LABELS = {
    "pickle": pickle.dumps(Canary("executed")),
    "objects": npy(np.array([Canary("executed")] * 1000, dtype=object)),
    "empty": b"",
    "negative": npy(np.full(1000, -1)),
    "too large": npy(np.full(1000, 10)),
    "floats": npy(np.full(1000, 0.5)),
    "nan": npy(np.full(1000, np.nan)),
    "two axes": npy(np.zeros((1000, 2), int)),
    "too few": npy(np.zeros(999, int)),
    "huge shape": npy(np.zeros(1000, int)).replace(b"(1000,), }        ", b"(10000000000000,)}"),
}


@pytest.mark.parametrize("labels", LABELS)
def test_hostile_labels_are_refused(labels, guarded):
    sheets(guarded, LABELS[labels])
    with pytest.raises(ValueError, match=r"train_labels\.npy"):
        read_images(guarded, "cifar10", "train")
    count("files, images", "refused, ValueError")


def test_hostile_images_are_refused(guarded, tmp_path):
    cat = guarded / "train" / "cat"
    cat.mkdir(parents=True)
    bomb = bytearray(image((32, 32), "PNG"))
    bomb[16:24] = (60_000).to_bytes(4, "big") * 2  # 10 GB of pixels, says the header
    for content in (
        bytes(bomb),
        image((32, 32), "PNG")[:-40],
        b"",
        pickle.dumps(Canary("executed")),
    ):
        (cat / "0.png").write_bytes(content)
        with pytest.raises(ValueError, match=r"0\.png"):
            read_images(guarded, "cifar10", "train")
    (cat / "0.png").unlink()
    (cat / "0.png").symlink_to("/etc/passwd")
    with pytest.raises(ValueError, match=r"0\.png"):
        read_images(guarded, "cifar10", "train")
    count("files, images", "refused, ValueError")


def test_annotations_that_climb_out_are_refused(guarded):
    (guarded / "val").mkdir()
    (guarded / "wnids.txt").write_text("n01\n")
    for line in ("../../secret.JPEG\tn01", "/etc/passwd n01", "lonely", ""):
        (guarded / "val" / "val_annotations.txt").write_text(line + "\n")
        with pytest.raises(ValueError, match=r"val_annotations\.txt"):
            list(read_examples(guarded, "val"))
    count("files, images", "refused, ValueError")


SETTING = Setting("ResNet20", "digits", "dense")
RECORD = {"key": SETTING.key, "setting": {"network": "ResNet20", "dataset": "digits",
          "method": "dense"}, "metrics": [{"val_accuracy": 0.5}]}  # fmt: skip
RECORDS = [
    "", "[]", "null", "{", "[" * 100_000, '{"setting": 1}', "9" * 10_000, "\x00\xff",
    json.dumps(RECORD | {"metrics": [{"val_accuracy": 1e400}]}),
    json.dumps(RECORD | {"metrics": [{"val_accuracy": float("nan")}]}),
    json.dumps(RECORD | {"metrics": "many"}),
    json.dumps(RECORD | {"metrics": 3}),
    json.dumps(RECORD | {"setting": RECORD["setting"] | {"seed": 1}}),
    json.dumps(RECORD | {"setting": RECORD["setting"] | {"__class__": "os"}}),
]  # fmt: skip


@pytest.mark.parametrize("text", RECORDS, ids=range(len(RECORDS)))
def test_hostile_records_are_refused(text, guarded):
    path = guarded / f"{SETTING.key}.json"
    path.write_text(json.dumps(RECORD))
    assert Records(guarded)[SETTING] == RECORD
    path.write_text(text)
    with pytest.raises(ValueError, match=SETTING.key):
        Records(guarded)[SETTING]
    count("files, records", "refused, ValueError")


@pytest.mark.parametrize("text", ["", "[]", '{"settings": 1}', '{"settings": []}', "[" * 100_000])
def test_hostile_settings_of_a_run_are_refused(text, guarded):
    (guarded / "settings.json").write_text(text)
    with pytest.raises(RunFolderError, match=r"settings"):
        check_config(guarded, TrainingConfig())
    count("files, run folders", "refused, RunFolderError")


@pytest.mark.parametrize(
    "text", ["loss\n1\n", "epoch,loss\nx,1\n", "epoch,loss\n1\n", "epoch\n1,2\n", "epoch\n1e999\n"]
)
def test_hostile_tables_of_a_run_are_refused(text, guarded):
    (guarded / "metrics.csv").write_text(text)
    with pytest.raises(RunFolderError, match=r"metrics\.csv"):
        read_csv(guarded / "metrics.csv")
    count("files, run folders", "refused, RunFolderError")
