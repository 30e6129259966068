"""The images of a training: batches to train and to test on, from memory or from the disk."""

import dataclasses

from keras_ssc import datasets
from keras_ssc.datasets.facts import FACTS
from keras_ssc.datasets.imagenet import HOW
from keras_ssc.datasets.sharding import ShardedBatches
from keras_ssc.datasets.sources import check_images, folder_sources, tfds_source
from keras_ssc.datasets.streaming import Stream

_TEST_SPLITS = ("validation", "test")


@dataclasses.dataclass(frozen=True)
class TrainingData:
    """What a training reads.

    Args:
        train, test: batches, with `epoch(number)` where they are sharded.
        class_names: tuple of str.
        input_shape: (height, width, channels).
        mean, std: three floats each, by which images scaled to [0, 1] are normalised.
        images: dict of the numbers of images on the disk, `training` and `test`; None of a set in
            memory.
    """

    train: object
    test: object
    class_names: tuple
    input_shape: tuple
    mean: tuple
    std: tuple
    images: dict | None = None


def load_data(config, sharded=False):
    """Return the `TrainingData` of a `TrainingConfig`.

    Args:
        config: `TrainingConfig`.
        sharded: bool, read the share of one of several processes, in batches of one size.

    Raises:
        ValueError, FileNotFoundError, ImportError: the images can't be read; the message says why.
    """
    return (_streamed if config.streamed else _in_memory)(config, sharded)


def _streamed(config, sharded):
    train, test = (_limited(source, config.limit) for source in _sources(config))
    common = {"size": config.image_size, "batch_size": config.batch_size, "seed": config.seed}
    parts = ({}, {})
    if sharded:
        common |= {"processes": config.processes, "process": config.process}
        parts = ({"remainder": "drop", "accumulate": config.accumulate}, {"remainder": "fill"})
    shape, facts = (config.image_size, config.image_size, 3), FACTS["imagenet2012"]
    return TrainingData(
        Stream(train, training=True, **common, **parts[0]),
        Stream(test, **common, **parts[1]),
        train.class_names,
        shape,
        facts.mean,
        facts.std,
        {"training": train.count, "test": test.count},
    )


def _sources(config):
    """Training and test images on the disk."""
    if config.dataset == "imagenet2012":
        name, how = config.dataset, HOW
    elif config.dataset.startswith("tfds:"):
        name, how = config.dataset.removeprefix("tfds:"), None
    else:
        sources = folder_sources(config.dataset, config.validation_split, config.seed)
        check_images(*(_limited(source, config.limit) for source in sources))
        return sources
    train = tfds_source(name, config.data_dir, how=how)
    if config.test_split is not None:
        return train, tfds_source(name, config.data_dir, config.test_split)
    try:
        return train, tfds_source(name, config.data_dir, _TEST_SPLITS[0])
    except ValueError:
        return train, tfds_source(name, config.data_dir, _TEST_SPLITS[1])


def _limited(source, limit):
    return source if limit is None else dataclasses.replace(source, count=min(limit, source.count))


def _in_memory(config, sharded):
    data = datasets.load(config.dataset, config.data_dir)
    cut, size = slice(config.limit), config.batch_size
    common = {"mean": data.mean, "std": data.std, "classes": data.classes}
    options = {"augment": True, "flip": data.flip, "shuffle": True, "seed": config.seed}
    train = datasets.Batches(data.x_train[cut], data.y_train[cut], size, **options, **common)
    test_size = size if sharded else 256
    test = datasets.Batches(data.x_test[cut], data.y_test[cut], test_size, **common)
    if sharded:
        part = {"processes": config.processes, "process": config.process}
        train = ShardedBatches(train, accumulate=config.accumulate, **part)
        test = ShardedBatches(test, fill=True, **part)
    shape = data.x_train.shape[1:]
    return TrainingData(train, test, data.class_names, shape, data.mean, data.std)
