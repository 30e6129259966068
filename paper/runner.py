"""Run an experiment: what is recorded already is not run again."""

import dataclasses
import shutil
import statistics
from contextlib import suppress

from keras_ssc.training.lock import FolderInUseError, locked
from paper.estimate import estimate, in_words
from paper.records import last_accuracy
from paper.run import run


def open_runs(cells, records):
    """Return the settings of the cells that have no record yet, each once, in order.

    Rows of the past are left out.

    Args:
        cells: list of `Cell`.
        records: `Records`.
    """
    settings = dict.fromkeys(one for cell in cells if not cell.past for one in cell.settings)
    return [setting for setting in settings if setting not in records]


def dry(cells):
    """Return the cells of a dry run: the first seed of each row, 2 epochs on 512 images, 256 others
    for the test. Of ImageNet 16 images and 8 others; of a table with several sparsities the first.
    """
    seen, chosen = set(), []
    for cell in cells:
        row = (cell.network, cell.dataset, cell.row)
        if cell.past or not cell.settings or row in seen:
            continue
        seen.add(row)
        changes = {"epochs": 2, "train_images": 512, "held_out": 256}
        if cell.dataset == "imagenet2012":
            changes |= {"train_images": 16, "held_out": 8, "batch_size": 8}
        setting = dataclasses.replace(cell.settings[0], **changes)
        chosen.append(dataclasses.replace(cell, settings=(setting,)))
    return chosen


def reproduce(cells, records, data_dir=None, limit=None, progress=print, train=None):
    """Run what is open of an experiment, and record each run when it is done.

    Before the first run it prints how long all are likely to take. An interrupted run resumes
    from its last checkpoint. Several processes may share the records: what one has begun, the
    others leave out.

    Args:
        cells: list of `Cell`.
        records: `Records`.
        data_dir: as for `keras_ssc.datasets.load`.
        limit: int, at most so many runs; None: all.
        progress: function that takes lines.
        train: function with the arguments and the result of `run`; None: that. How long another
            one takes is not foretold.

    Returns:
        int, how many runs have no record yet.

    Raises:
        what `run` raises; the runs before are recorded then.
    """
    todo = open_runs(cells, records)
    if todo[:limit] and train is None:
        seconds, basis = estimate(todo[:limit], records)
        progress(f"{len(todo[:limit])} runs take about {in_words(seconds)}: {basis}")
    taken = []
    for number, setting in enumerate(todo, start=1):
        if limit is not None and len(taken) == limit:
            break
        record = _claimed(setting, records, data_dir, progress, train or run)
        if record is None:
            continue
        taken.append(record["seconds"])
        left = (len(todo) - number) * statistics.mean(taken)
        progress(
            f"{number} of {len(todo)}: {setting}: {last_accuracy(record):.4f} in "
            f"{record['seconds']:.0f} s; the others take about {in_words(left)}"
        )
    return len(open_runs(cells, records))


def _claimed(setting, records, data_dir, progress, train):
    """Run and record a setting; None if another process does, or has done so meanwhile."""
    folder = records.unfinished(setting)
    try:
        with locked(folder):
            record = None
            if setting not in records:
                record = train(setting, data_dir, progress, folder)
                records.add(record)
            shutil.rmtree(folder)
    except FolderInUseError as error:
        progress(f"{setting}: left out. {error}")
        return None
    with suppress(OSError):  # others may be at work beside it
        folder.parent.rmdir()
    return record
