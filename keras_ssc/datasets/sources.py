"""Where streamed images come from: sets of tensorflow-datasets, and folders of images."""

import contextlib
import io
from pathlib import Path

import keras

from keras_ssc.arguments import number
from keras_ssc.datasets.imagenet_crops import decoded
from keras_ssc.datasets.prepared import prepared_builder
from keras_ssc.datasets.streaming import Source

_TRAIN, _TEST = ("train",), ("val", "validation", "test")
_ENDINGS = (".bmp", ".gif", ".jpeg", ".jpg", ".png")  # what Keras takes for images
_SHOWN = 3  # damaged files that a message names


def tfds_source(name, data_dir=None, split="train", how=None):
    """Return the `Source` of one split of a set of tensorflow-datasets.

    Args:
        name: str, such as `"imagenet2012"`, prepared in `data_dir`.
        data_dir: folder of tensorflow-datasets, None for its default.
        split: str, a split of the set.
        how: str, how the set is prepared, for the message where it is not; None: tfds build.

    Raises:
        ImportError: tensorflow-datasets is missing.
        FileNotFoundError: the set is not prepared there.
        ValueError: it has no such split, or no images with one label each.

    Example:

        source = tfds_source("imagenet2012", "~/tensorflow_datasets", "validation")
    """
    how = how or f"With tensorflow-datasets: tfds build {name} --data_dir FOLDER"
    return builder_source(prepared_builder(name, data_dir, how), split)


def builder_source(builder, split, first=0, stop=None):
    """Return the `Source` of the images `first` to `stop` of a split of a prepared builder."""
    import tensorflow_datasets as tfds

    splits, features = builder.info.splits, builder.info.features
    if split not in splits:
        raise ValueError(
            f"`split` of {builder.name} must be one of {sorted(splits)}. Received: split={split!r}"
        )
    label = features["label"] if {"image", "label"} <= set(features) else None
    if not isinstance(label, tfds.features.ClassLabel):
        raise ValueError(f"{builder.name} must hold images with one label each: `image`, `label`")
    names = tuple(label.names or map(str, range(label.num_classes)))
    stop = splits[split].num_examples if stop is None else stop

    def read(begin, end):
        examples = builder.as_dataset(
            split=f"{split}[{first + begin}:{first + end}]",
            decoders={"image": tfds.decode.SkipDecoding()},
            shuffle_files=False,
        )
        return examples.map(lambda example: (example["image"], example["label"]))

    return Source(names, stop - first, read)


def folder_sources(folder, validation_split=0.2, seed=0):
    """Return the `Source`s to train and to test on of a folder of images.

    Args:
        folder: with one sub-folder for each class, as for
            `keras.utils.image_dataset_from_directory`; or with `train` and `val` (`validation`,
            `test`), each of which is such a folder.
        validation_split: float in (0, 1), the share of the images to test on, drawn by `seed`; not
            used where the folder has its own split.
        seed: int.

    Raises:
        ImportError: TensorFlow is missing.
        ValueError: there are fewer than two classes, one without images, or too few images to
            split; or the share is out of range.

    Example:

        train, test = folder_sources("imagenette2-160")
    """
    folder = Path(folder).expanduser()
    below = {path.name: path for path in folder.iterdir() if path.is_dir()}
    train = next((below[name] for name in _TRAIN if name in below), None)
    test = next((below[name] for name in _TEST if name in below), None)
    if train and test and len(below) <= 3:
        sources = [_files(train, seed), _files(test, seed)]
    else:
        if not 0 < number("validation_split", validation_split, 0) < 1:
            raise ValueError(
                "`validation_split` must lie strictly between 0 and 1. "
                f"Received: validation_split={validation_split}"
            )
        sources = [
            _files(folder, seed, validation_split=validation_split, subset=subset)
            for subset in ("training", "validation")
        ]
    if sources[0].class_names != sources[1].class_names:
        raise ValueError(
            f"The classes of {str(train)!r} and {str(test)!r} must be the same. "
            f"Received: {sources[0].class_names} and {sources[1].class_names}"
        )
    return sources


def check_images(*sources):
    """Refuse sources with files that can't be read as images: each is decoded once.

    A training would stop at the first one, hours later.

    Args:
        *sources: `Source`s of `folder_sources`.

    Raises:
        ValueError: there are such files; the message names them.

    Example:

        check_images(train, test)
    """
    damaged = {file: why for source in sources for file, why in _damaged(source).items()}
    if damaged:
        names = ", ".join(map(repr, sorted(damaged)[:_SHOWN]))
        more = f" and {len(damaged) - _SHOWN} more" if len(damaged) > _SHOWN else ""
        raise ValueError(
            f"{len(damaged)} of {sum(source.count for source in sources)} files can't be read as "
            f"images: {names}{more}. Mend or remove them. ({damaged[min(damaged)]})"
        )


def _damaged(source):
    """{file: why it can't be read}."""
    import tensorflow as tf

    encoded = source.read(0, source.count).map(lambda image, label: image)
    images = iter(
        encoded.map(lambda one: tf.shape(decoded(one)), num_parallel_calls=tf.data.AUTOTUNE)
    )
    found = {}
    for file in source.files[: source.count]:
        try:
            next(images)  # in the order of the files, also after an error
        except tf.errors.OpError as error:
            found[file] = error.message.split("\n")[0].split("Map")[-1].partition(": ")[2]
    return found


def _check_classes(folder):
    """Return how many images there are in the sub-folders, at least two; one without is refused."""
    classes = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    if len(classes) < 2:
        raise ValueError(
            f"{str(folder)!r} must hold a sub-folder of images for each class, at least two. "
            f"Received: {[path.name for path in classes]}"
        )
    counts = [sum(p.suffix.lower() in _ENDINGS for p in one.rglob("*")) for one in classes]
    for one, count in zip(classes, counts, strict=True):
        if not count:
            raise ValueError(
                f"Each sub-folder of {str(folder)!r} must hold images of one class "
                f"({', '.join(_ENDINGS)}). Received: {one.name!r} without any"
            )
    return sum(counts)


def _files(folder, seed, **split):
    """The images that Keras finds in a folder, in an order drawn by the seed."""
    try:
        import tensorflow as tf
    except ImportError as error:
        raise ImportError(
            'A folder of images needs tensorflow: pip install "keras-ssc[train]"'
        ) from error
    count, share = _check_classes(folder), split.get("validation_split", 1)
    if int(count * share) < 1:
        raise ValueError(
            f"`validation_split` must leave an image of {count} to test on. "
            f"Received: validation_split={share}"
        )
    with contextlib.redirect_stdout(io.StringIO()):  # it prints counts, also with verbose=False
        found = keras.utils.image_dataset_from_directory(
            folder, label_mode="int", shuffle=True, seed=seed, verbose=False, **split
        )
    paths, names = list(found.file_paths), tuple(found.class_names)
    numbers = {name: label for label, name in enumerate(names)}
    labels = [numbers[Path(path).relative_to(folder).parts[0]] for path in paths]

    def read(begin, end):
        files = tf.data.Dataset.from_tensor_slices(
            (paths[begin:end], tf.constant(labels[begin:end], tf.int64))
        )
        return files.map(lambda path, label: (tf.io.read_file(path), label))

    return Source(names, len(paths), read, tuple(paths))
