"""Trained weights: written, found, refused, and as good as their cards say."""

import json
import pathlib

import keras
import numpy as np
import pytest
from tiny_networks import Two

from keras_ssc import applications, datasets
from keras_ssc.applications import _pretrained as pretrained
from keras_ssc.applications.cifar_resnet import decode_predictions, preprocess_input
from keras_ssc.datasets.facts import FACTS
from keras_ssc.training import publishing
from keras_ssc.training.publishing import accuracy, page

ROOT = pathlib.Path(__file__).parents[2]
CARDS = pretrained.cards()
NAMES = [card["file"] for card in CARDS]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with weights of a small network of random weights."""
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path)
    pretrained.cards.cache_clear()
    yield tmp_path
    pretrained.cards.cache_clear()


def written(folder, **arguments):
    model = applications.ResNet20(sparsity=0.9, **arguments)
    content = pretrained.encode(model)
    pretrained.put(model, pretrained.decode(content))
    card = {"model": "ResNet20", "dataset": "cifar10", "sparsity": 0.9, "test_accuracy": 0.8}
    card["arguments"] = {"sparsity": 0.9, **arguments}
    return model, pretrained.write(content, model, card, folder)


def test_weights_are_found_by_the_image_set(folder):
    model, card = written(folder)
    again = applications.ResNet20(sparsity=0.9, weights="cifar10", input_shape=(16, 16, 3))
    for one, other in zip(model.weights, again.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    assert (folder / card["file"]).stat().st_size == card["bytes"]


def test_the_file_has_half_of_the_bits_of_a_kernel(folder):
    model, card = written(folder)
    with np.load(folder / card["file"]) as file:
        for one in model.weights:
            assert file[one.path].dtype == ("float16" if len(one.shape) > 1 else "float32")
            np.testing.assert_array_equal(file[one.path].astype("float32"), one)


def test_without_the_classifier_for_other_classes(folder):
    model, _ = written(folder)
    again = applications.ResNet20(
        sparsity=0.9, weights="cifar10", include_top=False, classes=3, pooling="avg"
    )
    x = np.random.default_rng(0).normal(size=(2, 32, 32, 3)).astype("float32")
    expected = keras.Model(model.inputs[0], model.get_layer("avg_pool").output)
    np.testing.assert_allclose(again(x), expected(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "arguments",
    [
        {"sparsity": 0.95},
        {"sparsity": 0.9, "shift": "block"},
        {"sparsity": 0.9, "width": 16},
        {"sparsity": 0.9, "sparse_classifier": True},
        {"sparsity": 0.9, "weights": "cifar100", "classes": 100},
    ],
)
def test_other_patterns_are_refused(folder, arguments):
    written(folder)
    with pytest.raises(ValueError, match=r"`weights='cifar100?'`.*ResNet20.*(=0\.9\.|none\.)"):
        applications.ResNet20(**{"weights": "cifar10", **arguments})


def test_other_classes_are_refused():
    with pytest.raises(ValueError, match=r"`classes` must be 10 with `weights='cifar10'`.*=7"):
        applications.ResNet20(weights="cifar10", classes=7)


def test_a_changed_file_is_refused(folder):
    _, card = written(folder)
    path = folder / card["file"]
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(ValueError, match=r"resnet20-cifar10.*the file that its card describes"):
        applications.ResNet20(sparsity=0.9, weights="cifar10")


def test_weights_beyond_float16_are_refused():
    model = applications.ResNet20(sparsity=0.9)
    kernel = next(one for one in model.weights if len(one.shape) > 1)
    kernel.assign(keras.ops.full_like(kernel, 1e6))
    with pytest.raises(ValueError, match="finite weights in float16"):
        pretrained.encode(model)


def two(folder, **arguments):
    """Weights of a small network, which has arguments of its own."""
    model = applications.Two(**arguments)
    content = pretrained.encode(model)
    pretrained.put(model, pretrained.decode(content))
    card = {"model": "Two", "dataset": "cifar10", "sparsity": 0, "test_accuracy": 0.8}
    return model, pretrained.write(content, model, card | {"arguments": arguments}, folder)


BUTTERFLY = {"g": 4, "p": 3, "set_offset": "butterfly"}


@pytest.mark.parametrize("arguments", [{"sparsity": 0}, BUTTERFLY], ids=["dense", "butterfly"])
def test_other_arguments_are_named_and_found(folder, monkeypatch, arguments):
    monkeypatch.setattr(applications, "Two", Two, raising=False)
    two(folder, g=4, p=3)
    model, _ = two(folder, **arguments)
    again = Two(**arguments, weights="cifar10")
    for one, other in zip(model.weights, again.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    words = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
    with pytest.raises(ValueError, match=rf"other arguments: .*{words}.*Received: .*patterns"):
        Two(g=2, p=1, weights="cifar10")


def test_weights_are_replaced_only_when_asked(folder, monkeypatch):
    monkeypatch.setattr(applications, "Two", Two, raising=False)
    two(folder, sparsity=0)
    model, first = two(folder, g=4, p=3)
    model.weights[0].assign(model.weights[0] + 1)
    content = pretrained.encode(model)
    card = {**first, "test_accuracy": 0.9}
    there = {path.name for path in folder.iterdir()}
    with pytest.raises(ValueError, match=rf"`replace` must be True .*{first['file']} \(80.00%\)"):
        pretrained.write(content, model, card, folder)
    assert {path.name for path in folder.iterdir()} == there
    card = pretrained.write(content, model, card, folder, replace=True)
    pretrained.write(content, model, card, folder)  # the same again
    changed = {path.name for path in folder.iterdir()} ^ there
    stems = {pathlib.Path(one["file"]).stem for one in (first, card)}
    assert changed == {stem + suffix for stem in stems for suffix in (".npz", ".json")}


@pytest.mark.parametrize("card", CARDS, ids=NAMES)
def test_a_file_is_the_one_of_its_card(card):
    values = pretrained.read(card)
    assert card["file"].startswith(f"{card['model'].lower()}-{card['dataset']}-")
    assert card["sha256"].startswith(card["file"].rsplit("-", 1)[1].split(".")[0])
    assert all(np.isfinite(value).all() for value in values.values())


# 10,000 images each: the sparsest of a set runs with every change.
SPARSEST = {card["dataset"]: card["file"] for card in sorted(CARDS, key=lambda c: c["sparsity"])}
SHORT_AND_LONG = [
    card if card["file"] in SPARSEST.values() else pytest.param(card, marks=pytest.mark.campaign)
    for card in CARDS
]


@pytest.mark.parametrize("card", SHORT_AND_LONG, ids=NAMES)
def test_a_network_is_as_accurate_as_its_card_says(card, real_images):
    build = getattr(applications, card["model"])
    model = build(
        **card["arguments"],
        weights=card["dataset"],
        classes=pretrained.CLASSES[card["dataset"]],
    )
    data = images_of(real_images / card["dataset"])
    # Another machine's rounding may turn an image that lies between two classes.
    assert abs(accuracy(model, data) - card["test_accuracy"]) <= 5e-4


def images_of(folder):
    """The test images of a folder of lossless sheets."""
    from PIL import Image

    sheets = [
        np.asarray(Image.open(path).convert("RGB"))
        .reshape(25, 32, 40, 32, 3)
        .transpose(0, 2, 1, 3, 4)
        .reshape(-1, 32, 32, 3)
        for path in sorted(folder.glob("test_[0-9][0-9].webp"))
    ]
    labels = np.load(folder / "test_labels.npy").astype("int32")
    return datasets.Dataset(
        folder.name, None, None, np.concatenate(sheets), labels, (), (), (), True
    )


def test_the_page_lists_the_cards():
    text = (ROOT / "docs" / "weights.md").read_text(encoding="utf-8")
    assert page(CARDS) in text


def test_predictions_are_decoded():
    scores = np.array([[0, 0.1, 0, 0.7, 0, 0, 0, 0, 0.2, 0]])
    assert decode_predictions(scores, top=2) == [[(3, "cat", 0.7), (8, "ship", 0.2)]]
    with pytest.raises(ValueError, match=r"`preds` must be of shape \(images, 100\)"):
        decode_predictions(scores, dataset="cifar100")
    with pytest.raises(ValueError, match="`top`"):
        decode_predictions(scores, top=0)


def test_cards_have_what_a_reader_asks_for():
    for card in CARDS:
        for key in ("data", "recipe", "licence", "hardware", "milliseconds", "multiply_adds"):
            assert card[key], key
        facts = FACTS[card["dataset"]]
        assert card["preprocess_input"] == {"mean": [*facts.mean], "std": [*facts.std]}


def test_a_finished_run_is_published(tmp_path, monkeypatch):
    run, made = tmp_path / "run", tmp_path / "made"
    run.mkdir()
    made.mkdir()
    model = applications.ResNet20(sparsity=0.98)
    model.save(run / "last.keras")
    settings = {
        "model": "ResNet20",
        "dataset": "cifar10",
        "sparsity": 0.98,
        **dict.fromkeys(("g", "p", "limit")),
        **dict.fromkeys(publishing.RECIPE, 1),
    }
    about = {"settings": settings, "hardware": {"cpu": {"name": "any"}}, "versions": {}}
    (run / "settings.json").write_text(json.dumps(about))
    random = np.random.default_rng(0)
    x = random.integers(0, 256, (20, 32, 32, 3), dtype="uint8")
    found = keras.ops.convert_to_numpy(model(preprocess_input(x))).argmax(-1).astype("int32")
    labels = np.where(np.arange(20) < 15, found, (found + 1) % 10)  # a quarter of them wrong
    data = datasets.Dataset("cifar10", x, labels, x, labels, range(10), (), (), True)
    monkeypatch.setattr(datasets, "load", lambda *_: data)
    with pytest.raises(ValueError, match="must hold a finished run"):
        publishing.publish(run, None, made)
    (run / "results.json").write_text("{}")
    card = publishing.publish(run, None, made)
    assert card["test_accuracy"] == 0.75
    assert card["live_weights"] < 0.023 * card["dense_weights"]
    assert card == json.loads((made / card["file"]).with_suffix(".json").read_text())
    row = f"| ResNet20 | cifar10 | `sparsity=0.98` | 75.00% | 1 | 1 | {card['live_weights']:,} |"
    assert row in page([card])
    settings["g"] = 8
    (run / "settings.json").write_text(json.dumps(about))
    with pytest.raises(ValueError, match=r"without `g` and `p`\. Received: \['g'\]"):
        publishing.publish(run, None, made)
