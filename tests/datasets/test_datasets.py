"""Image sets and batches."""

import keras
import numpy as np
import pytest

from keras_ssc import datasets
from keras_ssc.datasets import Batches

pytestmark = pytest.mark.jax

PLAIN = {"mean": (0.0, 0.0, 0.0), "std": (1 / 255,) * 3}  # leaves pixel values as they are


def numbered(images=10, size=8):
    """Images whose pixels tell image, row and column."""
    image, row, column = np.ogrid[:images, :size, :size]
    x = np.stack(np.broadcast_arrays(image + 1, row + 1, column + 1), axis=-1)
    return x.astype("uint8"), np.arange(images)


def test_digits_are_the_scans_of_scikit_learn():
    sklearn = pytest.importorskip("sklearn.datasets")
    digits = datasets.load("digits")
    assert digits.x_train.shape == (1437, 32, 32, 3)
    assert digits.x_test.shape == (360, 32, 32, 3)
    assert digits.classes == 10
    assert digits.flip is False
    # Shown larger, nothing else: all 1,797 scans are there, each once.
    own = np.concatenate([digits.x_train, digits.x_test])
    assert (own == own[..., :1]).all()
    small = np.round(own[:, ::4, ::4, 0] * (16 / 255)).reshape(-1, 64)
    scans = sklearn.load_digits()
    np.testing.assert_array_equal(np.unique(small, axis=0), np.unique(scans.data, axis=0))
    counts = np.bincount(digits.y_test)
    assert counts.min() >= 34
    assert counts.max() <= 38
    x = digits.x_train / 255
    np.testing.assert_allclose(digits.mean, x.mean((0, 1, 2)))
    np.testing.assert_allclose(digits.std, x.std((0, 1, 2)))


def test_unknown_name():
    with pytest.raises(ValueError, match=r"`name` must be one of .*digits.*'mnist'"):
        datasets.load("mnist")


def test_plain_batches_are_the_images_normalised():
    x, y = numbered()
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.25, 0.125)
    batches = Batches(x, y, 4, mean=mean, std=std)
    assert len(batches) == 3
    images = np.concatenate([batches[i][0] for i in range(3)])
    labels = np.concatenate([batches[i][1] for i in range(3)])
    np.testing.assert_allclose(images, (x / 255 - mean) / std, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(labels, y)
    assert (images.dtype, labels.dtype) == ("float32", "int32")


def test_augmentation_pads_cuts_flips_then_normalises():
    x, y = numbered(images=200, size=8)
    mean = (0.5, 0.5, 0.5)
    batches = Batches(x, y, 200, mean=mean, std=PLAIN["std"], augment=True, seed=3)
    cut = batches[0][0] + 127.5
    padded = np.pad(x, ((0, 0), (4, 4), (4, 4), (0, 0)))
    seen = set()
    for image in range(200):
        windows = [
            (top, left, flip)
            for top in range(9)
            for left in range(9)
            for flip in (False, True)
            if np.allclose(
                cut[image], padded[image, top : top + 8, left : left + 8][:, :: -1 if flip else 1]
            )
        ]
        assert len(windows) == 1
        seen.update(windows)
    assert {top for top, _, _ in seen} == set(range(9))
    assert {left for _, left, _ in seen} == set(range(9))
    assert {flip for _, _, flip in seen} == {False, True}


def test_no_flip_where_the_set_does_not_allow_it():
    x, y = numbered(images=50)
    cut = Batches(x, y, 50, **PLAIN, augment=True, flip=False)[0][0]
    inside = (cut[..., 2] > 0).all(axis=1)
    for image in range(50):
        columns = cut[image, 4, inside[image], 2]
        assert (np.diff(columns) > 0).all()


def test_every_epoch_has_its_own_order_and_holds_every_image_once():
    x, y = numbered(images=30)
    batches = Batches(x, y, 7, **PLAIN, shuffle=True, augment=True, seed=5)
    orders = []
    for _ in range(2):
        labels = [batches[i][1] for i in range(len(batches))]
        assert [len(part) for part in labels] == [7, 7, 7, 7, 2]
        orders.append(np.concatenate(labels).tolist())
        batches.on_epoch_end()
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(30))


def test_a_batch_follows_from_seed_epoch_and_index():
    x, y = numbered(images=30)

    def batch(seed, epoch, index):
        batches = Batches(x, y, 8, **PLAIN, shuffle=True, augment=True, seed=seed)
        batches.epoch = epoch
        return batches[index][0]

    np.testing.assert_array_equal(batch(1, 2, 3), batch(1, 2, 3))
    assert not np.array_equal(batch(1, 2, 0), batch(2, 2, 0))
    assert not np.array_equal(batch(1, 2, 0), batch(1, 3, 0))
    assert not np.array_equal(batch(1, 2, 0), batch(1, 2, 1))


def test_from_a_step_the_batches_are_those_of_the_whole():
    x, y = numbered(images=30)
    batches = Batches(x, y, 8, shuffle=True, augment=True, seed=1, **PLAIN)
    rest = batches.from_step(2)
    assert (len(batches), len(rest)) == (4, 2)
    for index in range(2):
        for one, two in zip(rest[index], batches[index + 2], strict=True):
            np.testing.assert_array_equal(one, two)


class Spy(keras.layers.Layer):
    """Keeps the sum of the inputs it saw, weighted so that order matters."""

    def build(self, shape):
        self.seen = self.add_weight(shape=(), initializer="zeros", trainable=False)

    def call(self, x):
        self.seen.assign(self.seen * 0.5 + keras.ops.mean(x))
        return keras.ops.mean(x, axis=(1, 2))[:, :1]


def test_fit_sees_the_batches_in_order_epoch_after_epoch():
    x, y = numbered(images=30)
    settings = {"shuffle": True, "augment": True, "seed": 1} | PLAIN
    spy = Spy()
    model = keras.Sequential([keras.Input((8, 8, 3)), spy, keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    batches = Batches(x, y, 8, **settings)
    callbacks = [batches.follow_epochs()]
    model.fit(batches, epochs=2, shuffle=False, callbacks=callbacks, verbose=0)
    model.fit(batches, initial_epoch=2, epochs=3, shuffle=False, callbacks=callbacks, verbose=0)
    expected, batches = 0.0, Batches(x, y, 8, **settings)
    for _ in range(3):
        for index in range(len(batches)):
            expected = expected * 0.5 + batches[index][0].mean()
        batches.on_epoch_end()
    assert float(spy.seen.value) == pytest.approx(expected, rel=1e-5)


GOOD = {"x": np.zeros((4, 8, 8, 3), "float32"), "y": np.zeros(4, int), "batch_size": 2}
NAN = GOOD["x"].copy()
NAN[2, 1, 1, 0] = np.nan


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"x": GOOD["x"][:0], "y": GOOD["y"][:0]}, ["`x`", "empty data set"]),
        ({"x": GOOD["x"][0]}, ["`x`", "(8, 8, 3)"]),
        ({"y": GOOD["y"][:3]}, ["`y`", "4 images", "(3,)"]),
        ({"y": GOOD["y"] / 2}, ["`y`", "integer", "float64"]),
        ({"y": GOOD["y"] - 1}, ["`y`", "-1"]),
        ({"y": GOOD["y"] + 10, "classes": 10}, ["`y`", "0 ... 9", "10 ... 10"]),
        ({"x": NAN}, ["`x`", "finite", "1 of 4", "image 2"]),
        ({"x": GOOD["x"].astype("U1")}, ["`x`", "numbers"]),
        ({"batch_size": 0}, ["`batch_size`", "batch_size=0"]),
        ({"batch_size": 2.0}, ["`batch_size`", "2.0"]),
    ],
)
def test_refuses_bad_data(change, words):
    with pytest.raises((ValueError, TypeError)) as error:
        Batches(**(GOOD | change), **PLAIN)
    assert all(word in str(error.value) for word in words), error.value


def test_tf_dataset_gives_the_same_batches_of_each_epoch():
    tf = pytest.importorskip("tensorflow")
    x = np.random.default_rng(0).integers(0, 256, (10, 8, 8, 3)).astype("uint8")
    options = {"mean": (0.5,) * 3, "std": (0.2,) * 3, "augment": True, "pad": 1, "shuffle": True}
    batches = Batches(x, np.arange(10), 4, **options)
    for part in (batches, batches.from_step(1)):
        data = part.tf_dataset()
        assert len(data) == len(part)
        assert not data.options().autotune.enabled
        for epoch in (0, 1):
            part.epoch = epoch
            read = list(data.as_numpy_iterator())
            assert len(read) == len(part)
            for index, (images, labels) in enumerate(read):
                np.testing.assert_array_equal(images, part[index][0])
                np.testing.assert_array_equal(labels, part[index][1])
    assert data.element_spec[0] == tf.TensorSpec((None, 8, 8, 3), tf.float32)
