"""Damaged and hostile models: refused in words; nothing is executed or written outside."""

import io
import json
import os
import pickle
import zipfile

import h5py
import keras
import numpy as np
import pytest
from hostile_files import Canary, damaged
from hypothesis import given
from hypothesis import strategies as st
from misuse import budget, count, finding, refusal, refused

import keras_ssc
from keras_ssc.model_file import read_model

pytestmark = pytest.mark.fuzz


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
