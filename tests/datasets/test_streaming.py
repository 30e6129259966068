"""Image sets read from disk: every process its own part; and trained on."""

import io
import shutil
import signal

import keras
import numpy as np
import pytest
from imagenet_folder import LABELS, write_folder
from tiny_networks import Tiny

tfds = pytest.importorskip("tensorflow_datasets")
Image = pytest.importorskip("PIL.Image")

from keras_ssc.datasets.calibration import calibration_images  # noqa: E402
from keras_ssc.datasets.imagenet_crops import center_crop, random_resized_crop  # noqa: E402
from keras_ssc.datasets.prepare.cifar import prepare  # noqa: E402
from keras_ssc.datasets.sources import check_images, folder_sources, tfds_source  # noqa: E402
from keras_ssc.datasets.streaming import Stream  # noqa: E402
from keras_ssc.training.config import TrainingConfig  # noqa: E402
from keras_ssc.training.data import load_data  # noqa: E402
from keras_ssc.training.distributed import train_distributed  # noqa: E402
from keras_ssc.training.loop import fit_resumably  # noqa: E402
from keras_ssc.training.optimizer import CoupledSGD  # noqa: E402
from keras_ssc.training.sigterm import Interrupted, Termination  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """24 training and 6 validation images, prepared."""
    place = tmp_path_factory.mktemp("tfds")
    prepare("imagenet2012", write_folder(tmp_path_factory.mktemp("images")), place)
    return place


def read(data_dir, split="train", epoch=0, **options):
    remainder = "drop" if options.get("training") else "fill"
    source = tfds_source("imagenet2012", data_dir, split)
    stream = Stream(source, size=16, remainder=remainder, **options)
    batches = [tuple(part.numpy() for part in batch) for batch in stream.epoch(epoch)]
    assert len(batches) == len(stream)
    return batches


def test_processes_share_the_examples(data_dir):
    labels = []
    for process in range(2):
        part = read(data_dir, batch_size=8, processes=2, process=process, training=True)
        assert [x.shape for x, _ in part] == [(4, 16, 16, 3)] * 3
        labels += [y for _, y in part]
    assert sorted(np.concatenate(labels).tolist()) == sorted(8 * list(LABELS.values()))


def test_an_epoch_follows_from_seed_and_number(data_dir):
    def epoch(epoch, seed=0):
        options = {"batch_size": 8, "training": True, "seed": seed}
        return np.concatenate([x for x, _ in read(data_dir, epoch=epoch, **options)])

    np.testing.assert_array_equal(epoch(3), epoch(3))
    assert not np.array_equal(epoch(3), epoch(4))
    assert not np.array_equal(epoch(3), epoch(3, seed=7))


def test_pieces_are_smaller_batches(data_dir):
    parts = read(data_dir, batch_size=8, accumulate=2, training=True)
    whole = read(data_dir, batch_size=8, training=True)
    assert [x.shape[0] for x, _ in parts] == [4] * 6
    np.testing.assert_array_equal(
        np.concatenate([x for x, _ in parts]), np.concatenate([x for x, _ in whole])
    )


def test_a_test_has_every_image_once(data_dir):
    labels, weights = [], []
    for process in range(4):  # 6 images: 2, 2, 1 and 1
        part = read(data_dir, "validation", batch_size=4, processes=4, process=process)
        assert len(part) == 2
        labels += [y[weight > 0] for _, y, weight in part]
        weights += [weight for _, _, weight in part]
    assert sorted(np.concatenate(labels).tolist()) == sorted(2 * list(LABELS.values()))
    assert np.sum(weights) == 6


def test_an_image_is_cut_alike_as_jpeg_and_as_png():
    levels = np.arange(40)[:, None, None] * 4 + np.zeros((40, 30, 3))
    for cut in (lambda one: center_crop(one, 16), lambda one: random_resized_crop(one, 16, (1, 2))):
        crops = []
        for kind in ("JPEG", "PNG"):
            buffer = io.BytesIO()
            Image.fromarray(levels.astype("uint8")).save(buffer, kind, quality=100)
            crops.append(cut(buffer.getvalue()).numpy())
        assert np.abs(crops[0] - crops[1]).max() < 0.05
        assert np.ptp(crops[0]) > 0.5


def test_what_cannot_be_read_is_refused(data_dir, tmp_path):
    with pytest.raises(ValueError, match="`batch_size` must be at most"):
        read(data_dir, batch_size=32, training=True)
    with pytest.raises(ValueError, match="`batch_size` must be a multiple of 2 processes x 3"):
        read(data_dir, batch_size=8, processes=2, accumulate=3)
    assert len(read(data_dir, batch_size=32)) == 1  # a test is filled up
    with pytest.raises(FileNotFoundError, match=r"not prepared in `data_dir`.*tfds build"):
        read(tmp_path, batch_size=8)


@pytest.mark.campaign
def test_a_run_on_it_and_a_dry_run(data_dir, tmp_path):
    job = TrainingConfig(
        dataset="imagenet2012", data_dir=str(data_dir), image_size=16, epochs=2,
        batch_size=6, devices=1,
    )  # fmt: skip

    def build(shape, classes):
        return Tiny(input_shape=shape, classes=classes, sparsity=0.2, dtype="mixed_bfloat16")

    model, rows = train_distributed(job, tmp_path / "run", build)
    assert model.output_shape == (None, 1000)
    assert [row["epoch"] for row in rows] == [1, 2]
    assert all(np.isfinite(row["loss"]) and np.isfinite(row["val_loss"]) for row in rows)
    assert (tmp_path / "run" / "last.keras").exists()
    _, rows = train_distributed(job, build=build)
    assert rows == []


def test_an_epoch_resumes_in_its_middle(data_dir):
    stream = Stream(tfds_source("imagenet2012", data_dir), size=16, batch_size=5, training=True)
    stream.follow_epochs().on_epoch_begin(2, None)
    complete = [x.numpy() for x, _ in stream.tf_dataset()]
    rest = stream.from_step(2)
    assert (len(stream), len(rest)) == (5, 3)
    for x, (same, _) in zip(complete[2:], rest.tf_dataset(), strict=True):
        np.testing.assert_array_equal(x, same)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A folder of three classes, ten images each, in several formats."""
    folder = tmp_path_factory.mktemp("folder")
    for label, name in enumerate(("ants", "bees", "cats")):
        (folder / name).mkdir()
        for number, kind in enumerate(["jpg", "png", "bmp", "gif", "jpeg"] * 2):
            picture = Image.new("RGB", (20 + number, 24), (80 * label, number, 0))
            picture.save(folder / name / f"{number}.{kind}")
    return folder


def test_a_folder_of_images_is_split_and_labelled(images):
    train, test = folder_sources(images, 0.3, seed=4)
    assert (train.count, test.count, train.class_names) == (21, 9, ("ants", "bees", "cats"))
    for source, training in ((train, True), (test, False)):
        for x, y in Stream(source, size=8, batch_size=4, training=training):
            red = (x[:, 4, 4, 0].numpy() * 0.229 + 0.485) * 255
            np.testing.assert_allclose(red, 80 * y.numpy(), atol=8)
    own = folder_sources(images, 0.3, seed=4)[1].read(0, 9)
    for (one, _), (other, _) in zip(own, test.read(0, 9), strict=True):
        assert one == other


def test_a_folder_with_its_own_split(images, tmp_path):
    for name in ("train", "val"):
        (tmp_path / name).symlink_to(images)
    train, test = folder_sources(tmp_path)
    assert (train.count, test.count, test.class_names) == (30, 30, ("ants", "bees", "cats"))


def test_a_folder_that_cannot_be_used_is_refused(images):
    with pytest.raises(ValueError, match="`validation_split` must lie strictly between 0 and 1"):
        folder_sources(images, 1.0)
    with pytest.raises(ValueError, match=r"for each class, at least two. Received: \[\]"):
        folder_sources(images / "ants")


def test_calibration_images_of_a_folder(images):
    found = calibration_images(images, limit=5, size=8)
    train, _ = folder_sources(images)
    same = np.concatenate([x for x, _ in Stream(train, size=8, batch_size=1)])
    np.testing.assert_array_equal(found, same[:5])


@pytest.fixture
def few(images, tmp_path):
    """A folder of two classes, a few images each."""
    for name in ("ants", "bees"):
        (tmp_path / name).mkdir()
        for file in sorted((images / name).iterdir())[:4]:
            shutil.copy(file, tmp_path / name)
    return tmp_path


def test_classes_without_images_are_refused(few):
    with pytest.raises(ValueError, match="must leave an image of 8 to test on"):
        folder_sources(few, 0.1)
    (few / ".hidden").mkdir()
    folder_sources(few)
    (few / "cats").mkdir()
    (few / "cats" / "notes.txt").write_text("no image")
    with pytest.raises(ValueError, match=r"\.png\)\. Received: 'cats' without any"):
        folder_sources(few)
    for name in ("bees", "cats"):
        shutil.rmtree(few / name)
    with pytest.raises(ValueError, match=r"at least two. Received: \['ants'\]"):
        folder_sources(few)


def test_files_that_are_no_images_are_named_before_a_training(few):
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), "uint8")
    for number, mode in enumerate(("RGB", "L", "CMYK")):
        Image.fromarray(noise).convert(mode).save(few / "ants" / f"noise{number}.jpg")
    check_images(*folder_sources(few))  # grey ones and those for printers are images
    complete = (few / "ants" / "noise0.jpg").read_bytes()
    (few / "ants" / "noise0.jpg").write_bytes(complete[: len(complete) // 2])
    with pytest.raises(ValueError, match=r"1 of 11 files .*ants/noise0.jpg'. .*Invalid JPEG data"):
        check_images(*folder_sources(few))
    (few / "bees" / "empty.png").write_bytes(b"")
    (few / "bees" / "text.jpg").write_text("no image")
    (few / "bees" / "gone.jpg").symlink_to(few / "nowhere.jpg")
    with pytest.raises(ValueError, match=r"4 of 14 .*noise0.jpg', .*gone.jpg' and 1 more\. Mend"):
        check_images(*folder_sources(few))
    config = TrainingConfig(dataset=str(few), image_size=8, batch_size=2)
    with pytest.raises(ValueError, match="4 of 14 files can't be read as images"):
        load_data(config)


@pytest.fixture
def ctrl_c():
    """Ctrl-C as in a terminal; a shell ignores it in what runs in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def trained(source, folder, stop_at=None):
    """Weights after two epochs on a folder; Ctrl-C comes in step `stop_at`."""
    keras.utils.set_random_seed(0)
    head = keras.layers.Dense(3, activation="softmax")
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), head])
    loss = "sparse_categorical_crossentropy"
    model.compile(CoupledSGD(0.01), loss, metrics=["accuracy"], jit_compile=False)

    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if int(self.model.optimizer.iterations) == stop_at:
                signal.raise_signal(signal.SIGINT)

    stream = Stream(source, size=8, batch_size=8, training=True)
    folder.mkdir(exist_ok=True)
    with Termination() as termination:
        fit_resumably(model, stream, 2, [Stop()], folder, "folder", termination)
    return model.get_weights()


@pytest.mark.usefixtures("ctrl_c")
def test_a_training_on_a_folder_resumes_with_equal_weights(images, tmp_path):
    train, _ = folder_sources(images, 0.3)  # 21 images: three steps
    complete = trained(train, tmp_path / "complete")
    with pytest.raises(Interrupted, match="step 2 of epoch 2"):
        trained(train, tmp_path / "interrupted", stop_at=5)
    for one, other in zip(trained(train, tmp_path / "interrupted"), complete, strict=True):
        np.testing.assert_array_equal(one, other)
