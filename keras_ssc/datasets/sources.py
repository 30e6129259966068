"""Where streamed images come from: sets of tensorflow-datasets, and folders of images."""

from pathlib import Path

import keras

from keras_ssc.arguments import number
from keras_ssc.datasets.prepared import prepared_builder
from keras_ssc.datasets.streaming import Source

_TRAIN, _TEST = ("train",), ("val", "validation", "test")


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
        ValueError: there are no images or fewer than two classes, or the share is out of range.

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
    if len(sources[0].class_names) < 2:
        raise ValueError(
            f"{str(folder)!r} must hold a sub-folder for each class, at least two. "
            f"Received: {list(sources[0].class_names)}"
        )
    return sources


def _files(folder, seed, **split):
    """The images that Keras finds in a folder, in an order drawn by the seed."""
    try:
        import tensorflow as tf
    except ImportError as error:
        raise ImportError(
            'A folder of images needs tensorflow: pip install "keras-ssc[train]"'
        ) from error
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

    return Source(names, len(paths), read)
