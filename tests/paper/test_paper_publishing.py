"""Runs of the paper's protocol as weights of the package."""

import dataclasses
import json
import shutil
import time

import keras
import numpy as np
import pytest
from tiny_networks import Two

from keras_ssc import applications, datasets
from keras_ssc.applications import _pretrained as pretrained
from keras_ssc.applications._preprocess import preprocess_input
from keras_ssc.datasets.facts import FACTS
from keras_ssc.training import publishing
from keras_ssc.training.publishing import page
from paper import Records, Setting
from paper.fit import LOSS, fit
from paper.inputs import test_batches as batches_to_test
from paper.publishing import publish_record, recipe
from paper.run import Epochs, begin, kxk_norm, record_of

TINY = Setting("Two", "cifar10", "ssc", "butterfly+per_filter", g=4, p=3, epochs=2, batch_size=16)
BUTTERFLY = {"g": 4, "p": 3, "set_offset": "butterfly"}


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """A builder of two layers, and an image set of 64 images whose brightness tells the class."""
    random = np.random.default_rng(0)
    y = np.arange(64, dtype="int32") % 10
    x = (random.integers(0, 30, (64, 32, 32, 3)) + 22 * y[:, None, None, None]).astype("uint8")
    facts = FACTS["cifar10"]
    data = datasets.Dataset("cifar10", x, y, x, y, range(10), facts.mean, facts.std, True)
    monkeypatch.setattr(applications, "Two", Two, raising=False)
    monkeypatch.setattr(datasets, "load", lambda *_: data)
    monkeypatch.setattr(publishing, "milliseconds", lambda model: 1.0)


@pytest.fixture
def made(tmp_path, monkeypatch):
    """The folder of the weights."""
    folder = tmp_path / "made"
    folder.mkdir()
    monkeypatch.setattr(pretrained, "FOLDER", folder)
    pretrained.cards.cache_clear()
    yield folder
    pretrained.cards.cache_clear()


def run(setting, folder, train=False):
    """The record and the weights file of a run, which is over before its first step or trains."""
    data, start = begin(setting, None)
    epochs = Epochs(setting, lambda line: None, time.monotonic())
    norm = kxk_norm(start.model)
    if train:
        fit(start.model, setting, data, [epochs])
    else:
        start.model.compile(loss=LOSS, metrics=["accuracy"])
    records = Records(folder)
    records.add(record_of(setting, data, start.model, (), epochs, norm, []))
    path = folder / "weights" / f"{setting.key}.weights.h5"
    path.parent.mkdir()
    start.model.save_weights(path)
    return records.path(setting), path


@pytest.mark.parametrize(
    ("setting", "arguments"),
    [
        (TINY, BUTTERFLY),
        (Setting("Two", "cifar10", "dense", epochs=2, batch_size=16), {"sparsity": 0}),
    ],
    ids=["butterfly", "dense"],
)
def test_a_run_is_published(tmp_path, made, setting, arguments):
    path, _ = run(setting, tmp_path, train=True)
    record = json.loads(path.read_text())
    card = publish_record(path, folder=made)
    assert card["arguments"] == arguments
    assert list(card["arguments"]) == list(arguments)
    assert card["record"] == setting.key
    assert card["recorded_accuracy"] == record["test"]["last"]["accuracy"]
    assert abs(card["test_accuracy"] - card["recorded_accuracy"]) < 1e-4
    assert card["live_weights"] == record["live_weights"]
    recipe = card["recipe"]
    assert (recipe["epochs"], recipe["seed"], recipe["momentum"]) == (2, 0, 0.9)
    assert "50% and 75%" in recipe["schedule"]
    assert recipe["precision"] == "convolutions in float32, weights in float32"
    assert f"| Two | cifar10 | `{pretrained.in_words(arguments)}` |" in page([card])
    # As a user gets them, and prepares images.
    model = Two(**arguments, input_shape=(32, 32, 3), weights="cifar10")
    data = datasets.load("cifar10")
    scores = keras.ops.convert_to_numpy(model(preprocess_input(data.x_test)))
    assert (scores.argmax(-1) == data.y_test).mean() == card["test_accuracy"]


@pytest.mark.jax
@pytest.mark.campaign
@pytest.mark.skipif(keras.backend.backend() != "jax", reason="the loop is JAX's")
def test_a_run_of_the_gpu_loop_is_published(tmp_path, made):
    from paper.gpu_run import run_on_gpu

    weights = tmp_path / "weights" / f"{TINY.key}.weights.h5"
    weights.parent.mkdir()
    (tmp_path / "own").mkdir()
    record = run_on_gpu(TINY, folder=tmp_path / "own", progress=str, weights=weights)
    records = Records(tmp_path)
    records.add(record)
    card = publish_record(records.path(TINY), folder=made)
    assert card["recipe"]["precision"] == "convolutions in bfloat16, weights in float32"
    assert abs(card["test_accuracy"] - record["test"]["last"]["accuracy"]) < 1e-4


def test_the_card_names_the_precision_of_the_training():
    for loop, words in (("paper/gpu_loop.py, bfloat16", "bfloat16"), (None, "float32")):
        record = {"loop": loop} if loop else {}
        expected = f"convolutions in {words}, weights in float32"
        assert recipe(TINY, record)["precision"] == expected


def test_without_images_the_accuracy_is_that_of_the_record(tmp_path, made, monkeypatch):
    path, _ = run(TINY, tmp_path)

    def missing(*_):
        raise FileNotFoundError("no cifar10")

    monkeypatch.setattr(datasets, "load", missing)
    with pytest.raises(FileNotFoundError, match="no cifar10"):
        publish_record(path, data_dir="data", folder=made)
    card = publish_record(path, folder=made)
    assert card["test_accuracy"] == card["recorded_accuracy"]
    assert "before they were rounded" in card["test_accuracy_is"]


def test_weights_of_another_run_are_refused(tmp_path, made):
    path, weights = run(TINY, tmp_path)
    other = weights.with_name("other.weights.h5")
    shutil.copy(weights, other)
    with pytest.raises(ValueError, match=rf"`weights` must be the file {TINY.key}.weights.h5"):
        publish_record(path, other, folder=made)
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"test": {"last": {"accuracy": 0.9}}}))
    with pytest.raises(ValueError, match=r"`weights` must give the recorded .*, 0.9, within"):
        publish_record(path, folder=made)
    Two(sparsity=0, input_shape=(32, 32, 3)).save_weights(weights)
    with pytest.raises(ValueError, match=r"`weights` must be a weights file of Two cifar10 ssc"):
        publish_record(path, folder=made)
    weights.unlink()
    with pytest.raises(ValueError, match=r"`weights` must be an existing file"):
        publish_record(path, folder=made)
    path.write_text(json.dumps(record | {"live_weights": 7}))
    weights.touch()
    with pytest.raises(ValueError, match=r"`record` must be of a network .*Received: 7 live"):
        publish_record(path, folder=made)
    assert list(made.iterdir()) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"method": "SNIP"},
        {"dataset": "digits"},
        {"image_size": 16},
        {"train_images": 45_000},
        {"train_share": 0.5},
        {"held_out": 5000},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_what_no_builder_gives_is_refused(tmp_path, changes):
    records, setting = Records(tmp_path), dataclasses.replace(TINY, **changes)
    tested = {"last": {"accuracy": 0.5}}
    about = {"key": setting.key, "setting": setting.as_dict(), "metrics": []}
    records.add(about | {"test": tested})
    with pytest.raises(ValueError, match=r"`record` must be of SSC, or .*Received: (\w+=|a part)"):
        publish_record(records.path(setting), folder=tmp_path)


@pytest.mark.parametrize("name", pretrained.CLASSES)
def test_the_protocol_prepares_images_as_preprocess_input(name):
    facts = FACTS[name]
    images = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), "uint8")
    labels = np.zeros(8, "int32")
    about = (range(facts.classes), facts.mean, facts.std, True)
    data = datasets.Dataset(name, images, labels, images, labels, *about)
    x, _ = batches_to_test(dataclasses.replace(TINY, dataset=name), data)[0]
    np.testing.assert_allclose(x, preprocess_input(images, dataset=name), rtol=0, atol=1e-6)
