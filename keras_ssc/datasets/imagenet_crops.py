"""Random and centre crops of ImageNet: encoded images to normalised ones, in `tf.data`."""

import numpy as np

from keras_ssc.datasets.facts import FACTS

_FACTS = FACTS["imagenet2012"]
# Test images: the shorter side is scaled to 256 for a centre crop of 224.
_TEST_SCALE = 256 / 224


def random_resized_crop(encoded, size, seed):
    """Return a random crop of an image, mirrored at random: torchvision's RandomResizedCrop.

    8 to 100 % of the area, of a shape between 3:4 and 4:3, scaled bilinearly with antialiasing.

    Args:
        encoded: string tensor, the bytes of a JPEG, PNG, BMP or GIF file.
        size: int, pixels a side.
        seed: two integers; they decide alone.

    Returns:
        float32 (size, size, 3), normalised by ImageNet's mean and standard deviation.

    Example:

        image = random_resized_crop(tf.io.read_file("cat.jpg"), 224, seed=(0, 1))

    Reference: Szegedy et al., "Going Deeper with Convolutions" (the crops); He et al., 2016.
    """
    import tensorflow as tf

    jpeg = tf.io.is_jpeg(encoded)
    begin, extent, _ = tf.image.stateless_sample_distorted_bounding_box(
        tf.cond(
            jpeg,
            lambda: tf.io.extract_jpeg_shape(encoded),
            lambda: tf.shape(decoded(encoded)),
        ),
        tf.zeros((1, 0, 4)),
        seed=seed,
        min_object_covered=0.0,
        aspect_ratio_range=(3 / 4, 4 / 3),
        area_range=(0.08, 1.0),
        max_attempts=10,
        use_image_if_no_bounding_boxes=True,
    )
    height, width = extent[0], extent[1]
    window = tf.stack([begin[0], begin[1], height, width])
    crop = tf.cond(
        jpeg,  # only the crop is decoded
        lambda: tf.io.decode_and_crop_jpeg(encoded, window, channels=3),
        lambda: tf.slice(decoded(encoded), [begin[0], begin[1], 0], [height, width, 3]),
    )
    crop = tf.image.resize(crop, (size, size), antialias=True)
    crop = tf.image.stateless_random_flip_left_right(crop, seed=tf.convert_to_tensor(seed) + 1)
    return _normalised(crop, size)


def center_crop(encoded, size):
    """Return the centre crop of an image whose shorter side is scaled to 256 / 224 of the size.

    Args:
        encoded, size: as for `random_resized_crop`.

    Example:

        image = center_crop(tf.io.read_file("cat.jpg"), 224)
    """
    import tensorflow as tf

    image = decoded(encoded)
    sides = tf.cast(tf.shape(image)[:2], "float32")
    scaled = tf.round(sides * (round(size * _TEST_SCALE) / tf.reduce_min(sides)))
    image = tf.image.resize(image, tf.cast(scaled, "int32"), antialias=True)
    return _normalised(tf.image.resize_with_crop_or_pad(image, size, size), size)


def decoded(encoded):
    """Return the pixels of an encoded image, uint8 (height, width, 3); a grey one has them thrice.

    Example:

        image = decoded(tf.io.read_file("cat.jpg"))
    """
    import tensorflow as tf

    return tf.io.decode_image(encoded, channels=3, expand_animations=False)


def _normalised(image, size):
    import tensorflow as tf

    image = (image / 255.0 - np.array(_FACTS.mean, "float32")) / np.array(_FACTS.std, "float32")
    return tf.ensure_shape(image, (size, size, 3))
