"""ImageNet from single images, streamed from the disk."""

import dataclasses

import numpy as np
import pytest
from imagenet_folder import LABELS, jpeg, write_folder
from tiny_networks import Tiny

tfds = pytest.importorskip("tensorflow_datasets")
Image = pytest.importorskip("PIL.Image")

from keras_ssc import applications  # noqa: E402
from keras_ssc.datasets.imagenet import ImageNet  # noqa: E402
from keras_ssc.datasets.prepare.cifar import prepare  # noqa: E402
from paper import Setting, run  # noqa: E402
from paper.inputs import drop_shares, sampled, steps_per_epoch  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """24 training and 6 validation images in the official folders."""
    return write_folder(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def data_dir(folder, tmp_path_factory):
    """The same, prepared."""
    place = tmp_path_factory.mktemp("tfds")
    prepare("imagenet2012", folder, place)
    return place


def batches(dataset):
    return [(x.numpy(), y.numpy()) for x, y in dataset]


def test_every_image_is_there_with_its_label(data_dir):
    builder = tfds.builder("imagenet2012", data_dir=data_dir)
    for split, count in (("train", 24), ("validation", 6)):
        examples = list(tfds.as_numpy(builder.as_dataset(split=split)))
        assert len(examples) == count
        for example in examples:
            assert example["label"] == LABELS[example["file_name"].decode()[:9]]


def test_training_batches_follow_from_the_seed(data_dir):
    data = ImageNet(data_dir)
    assert (data.train_count, data.test_count, data.classes) == (24, 6, 1000)
    stream = data.training_batches(10, 16, seed=1)
    assert len(stream) == 3
    first, second = batches(stream.epoch(0)), batches(stream.epoch(1))
    assert [x.shape for x, _ in first] == [(10, 16, 16, 3), (10, 16, 16, 3), (4, 16, 16, 3)]
    again = batches(data.training_batches(10, 16, seed=1))
    for (x, y), (same_x, same_y) in zip(first, again, strict=True):
        np.testing.assert_array_equal(x, same_x)
        np.testing.assert_array_equal(y, same_y)
    assert not np.array_equal(first[0][0], second[0][0])
    assert not np.array_equal(first[0][0], batches(data.training_batches(10, 16, seed=2))[0][0])
    labels = [sorted(np.concatenate([y for _, y in epoch]).tolist()) for epoch in (first, second)]
    assert labels == [sorted(8 * list(LABELS.values()))] * 2


def test_test_images_are_the_scaled_middle(data_dir, folder):
    data = ImageNet(data_dir)
    found = np.concatenate([x for x, _ in batches(data.test_batches(4, 28))])
    names = [e["file_name"].decode() for e in tfds.as_numpy(data.builder.as_dataset("validation"))]
    for image, name in zip(found, names, strict=True):
        picture = Image.open(folder / "val" / name[:9] / name).convert("RGB")
        scale = 32 / min(picture.size)
        width, height = (round(side * scale) for side in picture.size)
        picture = picture.resize((width, height), Image.Resampling.BILINEAR)
        left, top = (width - 28) // 2, (height - 28) // 2
        expected = np.asarray(picture.crop((left, top, left + 28, top + 28))) / 255
        own = image * data.std + data.mean
        # Pillow rounds to whole levels between its two passes; decoders differ by some too.
        assert np.abs(own - expected).max() < 0.05
        assert np.abs(own - expected).mean() < 0.01


def test_held_out_images_are_the_last(data_dir):
    data = ImageNet(data_dir, train_images=16, held_out=5)
    names = []
    for stream in (data.training_batches(4, 8), data.test_batches(4, 8)):
        source = stream.source
        names.append({image.numpy() for image, _ in source.read(0, source.count)})
    assert [len(part) for part in names] == [16, 5]
    assert not names[0] & names[1]
    assert [len(y) for _, y in batches(data.test_batches(4, 8))] == [4, 1]
    with pytest.raises(ValueError, match="must fit into 24 training images"):
        ImageNet(data_dir, train_images=20, held_out=5)


def test_what_is_missing_is_said(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"prepare_dataset\.py --dataset imagenet2012"):
        ImageNet(tmp_path)
    with pytest.raises(FileNotFoundError, match="train/<WordNet id>"):
        prepare("imagenet2012", tmp_path, tmp_path / "tfds")
    wrong = tmp_path / "wrong" / "train" / "n00000000"
    wrong.mkdir(parents=True)
    (wrong / "a.JPEG").write_bytes(jpeg(0))
    with pytest.raises(ValueError, match="unknown class: 'n00000000'"):
        prepare("imagenet2012", tmp_path / "wrong", tmp_path / "tfds")
    assert not (tmp_path / "tfds").exists()


def test_a_run_records_top_1_and_top_5(data_dir, monkeypatch):
    monkeypatch.setattr(applications, "Tiny", Tiny, raising=False)
    setting = Setting(
        "Tiny", "imagenet2012", "SNIP", keep=20_000, epochs=2, batch_size=8, image_size=16,
        train_images=16, held_out=8,
    )  # fmt: skip
    record = run(setting, data_dir, progress=lambda line: None)
    assert record["live_weights"] == 20_000
    assert all(0 <= epoch["val_accuracy"] <= epoch["val_top5"] <= 1 for epoch in record["metrics"])
    data = ImageNet(data_dir, 16, 8)
    assert steps_per_epoch(setting, data) == 2
    assert drop_shares(setting) == (1 / 3, 2 / 3)
    x, y = sampled(setting, data, 1)  # one for each class, where there are so many images
    assert (x.shape, y.shape) == ((16, 16, 16, 3), (16,))
    with pytest.raises(ValueError, match="`train_share` must be 1"):
        run(dataclasses.replace(setting, train_share=0.5), data_dir)
