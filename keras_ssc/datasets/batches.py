"""Batches of an image set, with GraSP's augmentation, in any backend's `fit`."""

import copy

import keras
import numpy as np

from keras_ssc.arguments import integer

_ORDER, _CROPS = 0, 1


class Batches(keras.utils.PyDataset):
    """Shuffled, augmented, normalised batches.

    An augmented image is padded with `pad` zeros on every side, cropped at a random place and
    mirrored at random; only then (x / 255 - mean) / std is taken, so that the border is black.
    What a batch holds follows from (seed, epoch, index) alone: a training that resumes
    at `epoch` sees the same batches as one that never stopped. For that use
    `fit(batches, shuffle=False, callbacks=[batches.follow_epochs()])`: by itself `fit` draws an
    order of the batches that cannot be repeated, and may count one epoch more at its start.

    Args:
        x: array (images, height, width, channels), values 0 to 255.
        y: int array (images,), labels from 0.
        batch_size: int; the last batch holds what is left.
        mean, std: a float for each channel, of images scaled to [0, 1].
        augment: bool.
        flip: bool, whether augmentation mirrors.
        pad: int, zeros on each side.
        shuffle: bool.
        seed: int.
        classes: int or None; labels must be below it.
        **kwargs: workers, max_queue_size of `keras.utils.PyDataset`. With more than the one worker
            of the default, `fit` on JAX was seen to take a first batch of another epoch.

    Raises:
        ValueError: x or y is empty, of another shape, not finite, or out of range.
        TypeError: the labels are not integers.

    Example:

    >>> x, y = np.zeros((10, 32, 32, 3), "uint8"), np.zeros(10, "int32")
    >>> batches = Batches(x, y, 4, mean=(0.5, 0.5, 0.5), std=(0.2, 0.2, 0.2), augment=True)
    >>> len(batches), batches[2][0].shape
    (3, (2, 32, 32, 3))

    Reference: GraSP's recipe for CIFAR.
    """

    def __init__(
        self,
        x,
        y,
        batch_size,
        *,
        mean,
        std,
        augment=False,
        flip=True,
        pad=4,
        shuffle=False,
        seed=0,
        classes=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.x, self.y = _checked(x, y, classes)
        self.batch_size = integer("batch_size", batch_size, 1)
        self.mean = np.asarray(mean, "float32") * 255
        self.scale = 1 / (np.asarray(std, "float32") * 255)
        self.augment, self.flip, self.pad = augment, flip, pad
        self.shuffle, self.seed = shuffle, seed
        self.epoch, self.begin = 0, 0

    def __len__(self):
        return -(-len(self.x) // self.batch_size) - self.begin

    def __getitem__(self, index):
        """Return (float32 images, int32 labels) of batch `index` of the present epoch."""
        index += self.begin
        chosen = self._order()[index * self.batch_size : (index + 1) * self.batch_size]
        x = self.x[chosen]
        if self.augment:
            x = self._crop_and_flip(x, *self._places(index, len(x)))
        x = x - self.mean
        x *= self.scale  # in place: a step on a GPU waits for this
        return x, self.y[chosen]

    def draws(self):
        """Return what the present epoch draws, for a loop that cuts the images out by itself.

        Returns:
            (order, top, left, mirrored): arrays with a line for each image, in the order of the
            batches: its index; the first row and column of its crop, counted from the corner of
            the padding; whether it is mirrored.
        """
        order = self._order()
        starts = range(0, len(order), self.batch_size)
        parts = [
            self._places(index, len(order[start : start + self.batch_size]))
            for index, start in enumerate(starts)
        ]
        return (order, *(np.concatenate(column) for column in zip(*parts, strict=True)))

    def on_epoch_end(self):
        """Move to the next epoch's order and crops; `fit` calls it."""
        self.epoch += 1

    def follow_epochs(self):
        """Return a callback that sets `epoch` to the epoch that `fit` begins."""
        return keras.callbacks.LambdaCallback(
            on_epoch_begin=lambda epoch, logs: setattr(self, "epoch", epoch)
        )

    def from_step(self, step):
        """Return the same batches without the first `step` of every epoch."""
        rest = copy.copy(self)
        rest.begin = step
        return rest

    def tf_dataset(self):
        """Return the same batches as a `tf.data.Dataset`, which `fit` on TensorFlow ends faster.

        At the end of an epoch TensorFlow 2.21 waits for the thread that tunes its pipelines, and
        that one sleeps longer the longer it runs (measured: 2.7 s after an epoch of 15 s). Keras
        leaves the thread on for a `PyDataset`; here it is off.

        Example:

            model.fit(batches.tf_dataset(), shuffle=False, callbacks=[batches.follow_epochs()])
        """
        import tensorflow as tf

        signature = (
            tf.TensorSpec((None, *self.x.shape[1:]), tf.float32),
            tf.TensorSpec((None,), tf.int32),
        )
        data = tf.data.Dataset.from_generator(
            lambda: (self[index] for index in range(len(self))), output_signature=signature
        )
        data = data.apply(tf.data.experimental.assert_cardinality(len(self))).prefetch(2)
        options = tf.data.Options()
        options.autotune.enabled = False
        return data.with_options(options)

    def _random(self, *purpose):
        return np.random.default_rng((self.seed, self.epoch, *purpose))

    def _order(self):
        order = np.arange(len(self.x))
        if self.shuffle:
            self._random(_ORDER).shuffle(order)
        return order

    def _places(self, index, images):
        """(top, left, mirrored) of the images of a batch."""
        if not self.augment:
            centre = np.full(images, self.pad)
            return centre, centre, np.zeros(images, bool)
        random = self._random(_CROPS, index)
        top, left = random.integers(0, 2 * self.pad + 1, (2, images))
        mirrored = random.random(images) < 0.5 if self.flip else np.zeros(images, bool)
        return top, left, mirrored

    def _crop_and_flip(self, x, top, left, mirrored):
        _, height, width, _ = x.shape
        pad = self.pad
        padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
        cut = np.empty_like(x)
        for one, image, row, column in zip(cut, padded, top, left, strict=True):
            one[:] = image[row : row + height, column : column + width]
        cut[mirrored] = cut[mirrored][:, :, ::-1]
        return cut


def _checked(x, y, classes):
    """Return x and int32 labels, or say what is wrong with them."""
    x, y = np.asarray(x), np.asarray(y)
    if x.ndim != 4:
        raise ValueError(f"`x` must be (images, height, width, channels). Received: {x.shape}")
    if len(x) == 0:
        raise ValueError("`x` must hold at least one image. Received: an empty data set")
    if y.shape != (len(x),):
        raise ValueError(f"`y` must hold a label for each of {len(x)} images. Received: {y.shape}")
    if not np.issubdtype(y.dtype, np.integer):
        raise TypeError(f"`y` must hold integer labels. Received: dtype {y.dtype}")
    if np.issubdtype(x.dtype, np.floating):
        bad = ~np.isfinite(x).all(axis=(1, 2, 3))
        if bad.any():
            raise ValueError(
                f"`x` must be finite: {bad.sum()} of {len(x)} images hold NaN or infinity, "
                f"the first is image {int(bad.argmax())}"
            )
    elif not np.issubdtype(x.dtype, np.integer):
        raise TypeError(f"`x` must hold numbers. Received: dtype {x.dtype}")
    low, high = int(y.min()), int(y.max())
    if low < 0 or (classes is not None and high >= classes):
        allowed = "0 or more" if classes is None else f"in 0 ... {classes - 1}"
        raise ValueError(f"`y` must hold labels {allowed}. Received: {low} ... {high}")
    return x, y.astype("int32")
