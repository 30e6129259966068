"""Local images into a set that tensorflow-datasets reads, and CIFAR out of it."""

import subprocess
import sys

import keras
import numpy as np
import pytest

tfds = pytest.importorskip("tensorflow_datasets")
Image = pytest.importorskip("PIL.Image")

from keras_ssc import datasets  # noqa: E402
from keras_ssc.datasets.prepare.cifar import prepare, read_images  # noqa: E402
from keras_ssc.datasets.prepare.cifar_classes import CIFAR10, CIFAR100, FINE_TO_COARSE  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


def images(count, seed):
    return np.random.default_rng(seed).integers(0, 256, (count, 32, 32, 3), "uint8")


def write_folders(root, names, per_class=2):
    """`split/<class>/<number>.png`; returns {split: {label: images}}."""
    written = {}
    for number, split in enumerate(("train", "test")):
        written[split] = {}
        for label, name in enumerate(names):
            folder = root / split / name
            folder.mkdir(parents=True)
            written[split][label] = images(per_class, 1000 * number + label)
            for index, image in enumerate(written[split][label]):
                Image.fromarray(image).save(folder / f"{index}.png")
    return written


def write_sheets(root, labels=True):
    """Two training sheets and a test sheet; returns {split: (images, labels)}."""
    written = {}
    for split, sheets in (("train", 2), ("test", 1)):
        x = images(1000 * sheets, sheets)
        y = np.arange(1000 * sheets) % 7
        for sheet in range(sheets):
            tiles = x[1000 * sheet : 1000 * (sheet + 1)].reshape(25, 40, 32, 32, 3)
            picture = tiles.transpose(0, 2, 1, 3, 4).reshape(800, 1280, 3)
            Image.fromarray(picture).save(root / f"{split}_{sheet:02d}.png")
        if labels:
            np.save(root / f"{split}_labels.npy", y)
        written[split] = (x, y)
    return written


def program(*arguments):
    return subprocess.run(
        [sys.executable, "applications/prepare_dataset.py", *map(str, arguments)],
        capture_output=True,
        text=True,
    )


@pytest.mark.campaign
def test_the_program_makes_what_tfds_load_reads(tmp_path, root, monkeypatch):
    monkeypatch.chdir(root)
    written = write_folders(tmp_path / "images", CIFAR10)
    command = ["--dataset", "cifar10", "--images", tmp_path / "images", "--data-dir"]
    done = program(*command, tmp_path / "tfds")
    assert done.returncode == 0, done.stderr
    again = program(*command, tmp_path / "tfds")
    assert again.returncode == 1
    assert "--overwrite" in again.stderr
    assert "Traceback" not in again.stderr
    assert [path.name for path in (tmp_path / "tfds").iterdir()] == ["cifar10"]

    for split in ("train", "test"):
        stored = tfds.as_numpy(
            tfds.load("cifar10", data_dir=tmp_path / "tfds", split=split, batch_size=-1)
        )
        for label in range(10):
            found = stored["image"][stored["label"] == label]
            expected = written[split][label]
            assert {one.tobytes() for one in found} == {one.tobytes() for one in expected}
    loaded = datasets.load("cifar10", tmp_path / "tfds")
    assert loaded.x_train.shape == (20, 32, 32, 3)
    assert loaded.class_names == tuple(CIFAR10)
    assert loaded.y_test.dtype == "int32"


def test_cifar100_carries_both_labels(tmp_path):
    (tmp_path / "images").mkdir()
    write_folders(tmp_path / "images", CIFAR100, per_class=1)
    prepare("cifar100", tmp_path / "images", tmp_path / "tfds")
    stored = tfds.as_numpy(
        tfds.load("cifar100", data_dir=tmp_path / "tfds", split="train", batch_size=-1)
    )
    np.testing.assert_array_equal(stored["coarse_label"], np.array(FINE_TO_COARSE)[stored["label"]])
    assert datasets.load("cifar100", tmp_path / "tfds").class_names == tuple(CIFAR100)


def test_sheets_and_limit(tmp_path):
    written = write_sheets(tmp_path)
    for split, (x, y) in written.items():
        read_x, read_y = read_images(tmp_path, "cifar10", split)
        np.testing.assert_array_equal(read_x, x)
        np.testing.assert_array_equal(read_y, y)
    few, labels = read_images(tmp_path, "cifar10", "train", limit=7)
    np.testing.assert_array_equal(few, written["train"][0][:7])
    assert labels.tolist() == list(range(7))


def test_bad_images_leave_nothing_behind(tmp_path):
    write_sheets(tmp_path)
    target = tmp_path / "tfds"

    def refused(words):
        with pytest.raises((ValueError, FileNotFoundError)) as error:
            prepare("cifar10", tmp_path, target)
        assert words in str(error.value)
        assert not target.exists()

    sheet = tmp_path / "train_01.png"
    whole = sheet.read_bytes()
    sheet.write_bytes(whole[:1000])
    refused("can't be read as an image")
    Image.fromarray(images(1, 0)[0]).save(sheet)
    refused("1280 x 800")
    sheet.write_bytes(whole)
    np.save(tmp_path / "train_labels.npy", np.zeros(5, int))
    refused("must hold 2000 labels")
    (tmp_path / "train_labels.npy").unlink()
    refused("labels are missing")
    with pytest.raises(FileNotFoundError, match="`images` must be a folder"):
        prepare("cifar10", tmp_path / "nowhere", target)
    with pytest.raises(ValueError, match="`dataset` must be one of"):
        prepare("mnist", tmp_path, target)


def test_unknown_class_folder(tmp_path):
    write_folders(tmp_path, ["airplane", "zeppelin"])
    with pytest.raises(ValueError, match=r"unknown classes: \['zeppelin'\]"):
        read_images(tmp_path, "cifar10", "train")


def test_a_truncated_set_is_a_clear_error(tmp_path):
    write_folders(tmp_path / "images", CIFAR10)
    place = prepare("cifar10", tmp_path / "images", tmp_path / "tfds")
    record = next(path for path in place.iterdir() if "train.tfrecord" in path.name)
    record.write_bytes(record.read_bytes()[:-100])
    with pytest.raises(ValueError, match="can't be read; they may be truncated"):
        datasets.load("cifar10", tmp_path / "tfds")


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "tiny_imagenet"])
def test_a_missing_set_says_what_is_missing_and_how_to_make_it(name, tmp_path, monkeypatch):
    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", None)  # not called
    words = rf"{name} is not prepared in `data_dir`.*no '.*{name}.*prepare_dataset\.py.*{name}"
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(FileNotFoundError, match=words):
            datasets.load(name, folder)
    assert not list(tmp_path.iterdir())


def test_imagenet_that_is_missing(tmp_path):
    from keras_ssc.datasets.imagenet import ImageNet

    with pytest.raises(FileNotFoundError, match="imagenet2012 is not prepared in `data_dir`"):
        ImageNet(tmp_path)


def test_download_is_asked_for(tmp_path, monkeypatch):
    calls = []
    x = np.random.default_rng(0).integers(0, 256, (30, 32, 32, 3), "uint8")
    y = np.arange(30)[:, None] % 10

    def fetch():
        calls.append("cifar10")
        return (x[:20], y[:20]), (x[20:], y[20:])

    monkeypatch.setattr(keras.datasets.cifar10, "load_data", fetch)
    for folder in (None, tmp_path / "new"):
        monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
        loaded = datasets.load("cifar10", folder, download=True)
        np.testing.assert_array_equal(loaded.x_test, x[20:])
        np.testing.assert_array_equal(loaded.y_train, np.arange(20) % 10)
        assert loaded.class_names == tuple(CIFAR10)
    assert calls == ["cifar10"] * 2
    again = datasets.load("cifar10", tmp_path / "new")  # from here on without the internet
    assert datasets.load("cifar10", tmp_path / "new", download=True).classes == 10
    np.testing.assert_array_equal(again.x_train, x[:20])
    assert calls == ["cifar10"] * 2
    write_folders(tmp_path / "images", CIFAR10)
    prepare("cifar10", tmp_path / "images", tmp_path / "tfds")
    assert len(datasets.load("cifar10", tmp_path / "tfds", download=True).x_train) == 20
    assert calls == ["cifar10"] * 2
    with pytest.raises(ValueError, match=r"`download` is for CIFAR-10 and CIFAR-100.*tiny"):
        datasets.load("tiny_imagenet", tmp_path, download=True)
    with pytest.raises(TypeError, match="`download` must be True or False"):
        datasets.load("cifar10", tmp_path, download="yes")


def test_a_failed_download_says_why_and_what_else(tmp_path, monkeypatch, call, root):
    def no_network(*arguments, **settings):
        raise ConnectionError("no network")

    monkeypatch.setattr(keras.datasets.cifar10, "load_data", no_network)
    words = r"could not be downloaded \(ConnectionError: no network\).*prepare_dataset\.py"
    with pytest.raises(FileNotFoundError, match=words):
        datasets.load("cifar10", tmp_path, download=True)
    program = root / "applications" / "prepare_dataset.py"
    flags = ["--dataset", "cifar10", "--data-dir", str(tmp_path)]
    code, errors = call(program, [*flags, "--download"])
    assert code == 1
    assert errors.startswith("prepare_dataset: cifar10 could not be downloaded")
    for more in (["--limit", "3"], ["--overwrite"], ["--images", str(tmp_path)]):
        code, errors = call(program, [*flags, "--download", *more])
        assert code == 2
        assert more[0] in errors
    code, errors = call(program, ["--dataset", "imagenet2012", *flags[2:], "--download"])
    assert (code, "--download is for cifar10 and cifar100" in errors) == (2, True)


def test_real_images(real_images, tmp_path):
    x, y = read_images(real_images / "cifar10", "cifar10", "test", limit=1000)
    assert x.shape == (1000, 32, 32, 3)
    assert np.bincount(y, minlength=10).min() > 50
    prepare("cifar10", real_images / "cifar10", tmp_path, limit=100)
    loaded = datasets.load("cifar10", tmp_path)
    assert {one.tobytes() for one in loaded.x_test} == {one.tobytes() for one in x[:100]}
