"""Tiny-ImageNet from its official folder, and from a packed part of it."""

import io
import subprocess
import sys

import numpy as np
import pytest

tfds = pytest.importorskip("tensorflow_datasets")
Image = pytest.importorskip("PIL.Image")

from keras_ssc import datasets  # noqa: E402
from keras_ssc.datasets.prepare.cifar import prepare  # noqa: E402
from keras_ssc.datasets.prepare.files import read_classes, read_examples  # noqa: E402
from keras_ssc.datasets.tiny_imagenet import prepare_tiny_imagenet  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")

WNIDS = ["n03", "n01", "n02"]  # wnids.txt is not sorted


def jpeg(seed, grey=False, side=64):
    """One JPEG of a smooth random picture, which compression leaves nearly as it is."""
    corners = np.random.default_rng(seed).integers(0, 256, (4, 4) if grey else (4, 4, 3), "uint8")
    buffer = io.BytesIO()
    picture = Image.fromarray(corners).resize((side, side), Image.Resampling.BICUBIC)
    picture.save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def write_official(root, per_class=3, val=5):
    """The folders of the official archive; returns {split: {file: (bytes, wnid)}}."""
    written = {"train": {}, "val": {}}
    (root / "val" / "images").mkdir(parents=True)
    (root / "wnids.txt").write_text("\n".join(WNIDS) + "\n")
    for label, wnid in enumerate(WNIDS):
        (root / "train" / wnid / "images").mkdir(parents=True)
        for index in range(per_class):
            name = f"{wnid}_{index}.JPEG"
            data = jpeg(10 * label + index, grey=index == 1)
            (root / "train" / wnid / "images" / name).write_bytes(data)
            written["train"][name] = (data, wnid)
    lines = []
    for index in range(val):
        name, wnid = f"val_{index}.JPEG", WNIDS[index % 3]
        data = jpeg(100 + index)
        (root / "val" / "images" / name).write_bytes(data)
        written["val"][name] = (data, wnid)
        lines.append(f"{name}\t{wnid}\t0\t0\t62\t62")
    (root / "val" / "val_annotations.txt").write_text("\n".join(lines) + "\n")
    return written


def write_npz(root, written):
    """The same images joined in one file, labels by sorted class."""
    wnids, arrays = sorted(WNIDS), {}
    for split, files in written.items():
        images = [data for data, _ in files.values()]
        arrays[f"{split}_jpeg"] = np.frombuffer(b"".join(images), "uint8")
        arrays[f"{split}_offsets"] = np.cumsum([0, *map(len, images)])
        arrays[f"{split}_labels"] = [wnids.index(wnid) for _, wnid in files.values()]
    np.savez(root / "part.npz", wnids=wnids, **arrays)


def pixels(data):
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


def check(loaded, written):
    """Every image is there, once, with its label."""
    assert loaded.class_names == ("n01", "n02", "n03")
    for split, x, y in (
        ("train", loaded.x_train, loaded.y_train), ("val", loaded.x_test, loaded.y_test)
    ):  # fmt: skip
        assert x.shape == (len(written[split]), 64, 64, 3)
        assert (x.dtype, y.dtype) == ("uint8", "int32")
        found = set()
        for data, wnid in written[split].values():
            # Decoders round differently, by a grey level or two.
            distances = np.abs(x.astype(int) - pixels(data)).mean((1, 2, 3))
            nearest = int(distances.argmin())
            assert distances[nearest] < 2
            assert loaded.class_names[y[nearest]] == wnid
            found.add(nearest)
        assert len(found) == len(x)


@pytest.mark.campaign
def test_the_program_makes_what_load_reads(tmp_path, root, monkeypatch):
    monkeypatch.chdir(root)
    written = write_official(tmp_path / "images")

    def program():
        command = [sys.executable, "applications/prepare_dataset.py", "--dataset", "tiny_imagenet"]
        paths = ["--images", str(tmp_path / "images"), "--data-dir", str(tmp_path / "tfds")]
        return subprocess.run([*command, *paths], capture_output=True, text=True)

    done = program()
    assert done.returncode == 0, done.stderr
    again = program()
    assert again.returncode == 1
    assert "--overwrite" in again.stderr
    assert "Traceback" not in again.stderr
    assert [path.name for path in (tmp_path / "tfds").iterdir()] == ["tiny_imagenet"]
    loaded = datasets.load("tiny_imagenet", tmp_path / "tfds")
    check(loaded, written)
    assert loaded.mean == (0.480246, 0.448072, 0.397548)
    assert loaded.std == (0.276986, 0.269064, 0.282082)


def test_tfds_load_finds_the_very_files(tmp_path):
    written = write_official(tmp_path / "images")
    prepare("tiny_imagenet", tmp_path / "images", tmp_path / "tfds")
    for split, part in (("train", "train"), ("validation", "val")):
        stored = tfds.load(
            "tiny_imagenet", data_dir=tmp_path / "tfds", split=split,
            decoders={"image": tfds.decode.SkipDecoding()},
        )  # fmt: skip
        names = {
            example["file"].numpy().decode(): (
                example["image"].numpy(), sorted(WNIDS)[int(example["label"])]
            )
            for example in stored
        }  # fmt: skip
        assert names == written[part]


def test_a_packed_part(tmp_path):
    (tmp_path / "images").mkdir()
    written = write_official(tmp_path / "official")
    write_npz(tmp_path / "images", written)
    prepare_tiny_imagenet(tmp_path / "images", tmp_path / "tfds")
    check(datasets.load("tiny_imagenet", tmp_path / "tfds"), written)


def test_limit_is_balanced_and_overwrite_replaces(tmp_path):
    write_official(tmp_path / "images")
    prepare_tiny_imagenet(tmp_path / "images", tmp_path / "tfds", limit=3)
    few = datasets.load("tiny_imagenet", tmp_path / "tfds")
    assert sorted(few.y_train.tolist()) == [0, 1, 2]
    assert len(few.x_test) == 3
    prepare_tiny_imagenet(tmp_path / "images", tmp_path / "tfds", overwrite=True)
    assert len(datasets.load("tiny_imagenet", tmp_path / "tfds").x_train) == 9


def test_bad_files_leave_nothing_behind(tmp_path):
    write_official(tmp_path / "images")
    target = tmp_path / "tfds"

    def refused(words):
        with pytest.raises((ValueError, FileNotFoundError), match=words):
            prepare_tiny_imagenet(tmp_path / "images", target)
        assert not target.exists() or not list(target.iterdir())

    file = tmp_path / "images" / "val" / "images" / "val_2.JPEG"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    refused("'val_2.JPEG' can't be read as an image")
    file.write_bytes(jpeg(0, side=32))
    refused(r"'val_2.JPEG' must be 64 x 64 pixels. Received: \(32, 32\)")
    file.write_bytes(whole)
    (tmp_path / "images" / "wnids.txt").write_text("n01\nn02\n")
    refused("unknown class: 'n03'")
    (tmp_path / "images" / "wnids.txt").unlink()
    refused(r"`images` must be the folder tiny-imagenet-200")


def test_a_missing_or_truncated_set_says_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"prepare_dataset\.py --dataset tiny_imagenet"):
        datasets.load("tiny_imagenet", tmp_path / "nowhere")
    write_official(tmp_path / "images")
    place = prepare_tiny_imagenet(tmp_path / "images", tmp_path / "tfds")
    record = next(path for path in place.iterdir() if "train.tfrecord" in path.name)
    record.write_bytes(record.read_bytes()[:-100])
    with pytest.raises(ValueError, match="can't be read; they may be truncated"):
        datasets.load("tiny_imagenet", tmp_path / "tfds")


def test_real_images(real_images, tmp_path):
    folder = real_images / "tiny_imagenet"
    assert len(read_classes(folder)) == 100
    prepare_tiny_imagenet(folder, tmp_path, limit=200)
    loaded = datasets.load("tiny_imagenet", tmp_path)
    assert np.bincount(loaded.y_train).tolist() == [2] * 100
    first = next(read_examples(folder, "val"))
    distances = np.abs(loaded.x_test.astype(int) - pixels(first[1])).mean((1, 2, 3))
    assert distances.min() < 2
    assert loaded.class_names[loaded.y_test[distances.argmin()]] == first[2]
