"""Damaged and hostile files: refused in words; nothing is executed, nothing written outside."""

import io
import json
import os
import pickle
import zipfile

import h5py
import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from misuse import budget, count, finding, refusal, refused
from PIL import Image

import keras_ssc
from keras_ssc.datasets.local_images import read_images
from keras_ssc.datasets.tiny_imagenet_files import read_examples
from keras_ssc.experiments import Records
from keras_ssc.experiments.setting import Setting
from keras_ssc.model_file import read_model
from keras_ssc.training.run_folder import RunFolderError, check_settings, read_csv
from keras_ssc.training.settings import Settings

pytestmark = pytest.mark.fuzz


class Canary:
    """Unpickled, it makes a file."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """(bytes of a model's file, an input, its output)."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((6, 6, 8), name="in"), keras_ssc.SSCConv2D(8, 3, g=4, p=2, name="conv")]
    )
    path = tmp_path_factory.mktemp("good") / "model.keras"
    model.save(path)
    x = np.random.default_rng(0).normal(size=(1, 6, 6, 8)).astype("float32")
    return path.read_bytes(), x, keras.ops.convert_to_numpy(model(x))


@pytest.fixture
def guarded(tmp_path, monkeypatch):
    """A folder to work in, beside which nothing may appear."""
    folder = tmp_path / "one" / "two"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    before = sorted(tmp_path.rglob("*"))
    yield folder
    assert [path for path in sorted(tmp_path.rglob("*")) if path not in before] == sorted(
        folder.rglob("*")
    )
    assert not list(tmp_path.rglob("executed*"))


def parts(content):
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        return {name: file.read(name) for name in file.namelist()}


def packed(members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    return buffer.getvalue()


def layer_of(config):
    return config["config"]["layers"][1]


def with_config(content, change):
    """The file with its config.json changed."""
    members = parts(content)
    config = json.loads(members["config.json"])
    members["config.json"] = json.dumps(change(config) or config)
    return packed(members)


def put(path, value):
    def change(config):
        place = layer_of(config)
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value

    return change


def lambda_layer(config):
    """A Lambda whose Python code would make a file."""
    code = keras.layers.Lambda(lambda x: [x, os.mkdir("executed")][0], output_shape=(6, 6, 8))
    config["config"]["layers"][1] = keras.saving.serialize_keras_object(code)


def foreign(module, name, registered=None):
    def change(config):
        layer_of(config).update(
            {"module": module, "class_name": name, "registered_name": registered,
             "config": {"args": "touch executed", "shell": True, "name": "conv"}}
        )  # fmt: skip

    return change


CONFIGS = {
    "a Lambda": lambda_layer,
    "subprocess.Popen": foreign("subprocess", "Popen"),
    "os.system": foreign("os", "system"),
    "builtins.eval": foreign("builtins", "eval", "eval"),
    "a function of Keras": foreign("keras.utils", "get_file"),
    "many filters": put(["config", "filters"], 10**12),
    "text for filters": put(["config", "filters"], "8"),
    "another g": put(["config", "g"], 2),
    "a huge kernel": put(["config", "kernel_size"], [10**9, 10**9]),
    "sparsity beside g": put(["config", "sparsity"], 0.5),
    "an infinite stride": put(["config", "strides"], [1e999, 1]),
    "a huge build shape": put(["build_config", "input_shape"], [None, 6, 6, 10**12]),
    "an unknown argument": put(["config", "groups"], 2),
    "a foreign initializer": put(
        ["config", "kernel_initializer"],
        {"module": "os", "class_name": "system", "config": "touch executed"},
    ),
    "a list": lambda config: [1, 2],
    "no config": lambda config: {"config": None},
}


@pytest.mark.filterwarnings("ignore:.*lambda")
@pytest.mark.parametrize("change", CONFIGS)
def test_hostile_config_is_refused(change, good, guarded):
    path = guarded / "model.keras"
    path.write_bytes(with_config(good[0], CONFIGS[change]))
    with pytest.raises(ValueError, match=r"model\.keras.*can't be read"):
        read_model(path)
    count("files, .keras", "refused, ValueError")


def h5(write):
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        write(file)
    return buffer.getvalue()


def linked(file):
    variables = file.create_group("layers/conv/vars")
    for name in "012":
        variables[name] = h5py.ExternalLink("/etc/passwd", "/secret")


def huge(file):
    variables = file.create_group("layers/conv/vars")
    for name in "012":
        variables.create_dataset(name, shape=(10**6, 10**6), dtype="float32", chunks=(1, 1))


WEIGHTS = {
    "a pickle": lambda: pickle.dumps(Canary("executed")),
    "an npz": lambda: packed({"a.npy": b"\x93NUMPY"}),
    "external links": lambda: h5(linked),
    "huge shapes": lambda: h5(huge),
    "nothing": lambda: b"",
    "no weights": lambda: h5(lambda file: None),
}


@pytest.mark.parametrize("weights", WEIGHTS)
def test_hostile_weights_are_refused(weights, good, guarded):
    path = guarded / "model.keras"
    path.write_bytes(packed(parts(good[0]) | {"model.weights.h5": WEIGHTS[weights]()}))
    with pytest.raises(ValueError, match=r"model\.keras.*can't be read"):
        read_model(path)
    count("files, .keras", "refused, ValueError")


@pytest.mark.parametrize(
    "name", ["../../executed", "/tmp/keras-ssc-executed", "a/../../../executed"]
)
def test_a_zip_path_that_climbs_out_writes_nothing(name, good, guarded):
    path = guarded / "model.keras"
    path.write_bytes(packed(parts(good[0]) | {name: b"mine", f"assets/{name}": b"mine"}))
    refusal(read_model, path)  # Keras may take the rest of the file
    assert not os.path.exists("/tmp/keras-ssc-executed")
    count("files, .keras", "nothing outside")


@pytest.mark.parametrize(
    "content", [pickle.dumps(Canary("executed")), b"", b"PK\x03\x04", b"\x89HDF"]
)
@pytest.mark.parametrize("suffix", [".keras", ".h5", ".pkl", ""])
def test_what_is_no_model_is_refused(content, suffix, guarded):
    path = guarded / f"model{suffix}"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="can't be read"):
        read_model(path)
    count("files, .keras", "refused, ValueError")


def damaged(data, content):
    """The bytes cut short, or with some bits flipped."""
    content = bytearray(content)
    if data.draw(st.booleans()):
        return bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    return bytes(content)


@budget(30)
@given(data=st.data())
@finding
def test_a_damaged_model_is_refused_or_the_same(data, good, tmp_path_factory):
    content, x, y = good
    path = tmp_path_factory.mktemp("damaged") / "model.keras"
    path.write_bytes(damaged(data, content))
    model, error = refusal(read_model, path)
    if error is not None:
        refused("files, .keras", error, ["model.keras"], "damaged")
    else:  # a bit that nobody reads
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(model(x)), y)
        count("files, .keras", "the same")


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
        check_settings(guarded, Settings())
    count("files, run folders", "refused, RunFolderError")


@pytest.mark.parametrize(
    "text", ["loss\n1\n", "epoch,loss\nx,1\n", "epoch,loss\n1\n", "epoch\n1,2\n", "epoch\n1e999\n"]
)
def test_hostile_tables_of_a_run_are_refused(text, guarded):
    (guarded / "metrics.csv").write_text(text)
    with pytest.raises(RunFolderError, match=r"metrics\.csv"):
        read_csv(guarded / "metrics.csv")
    count("files, run folders", "refused, RunFolderError")
