"""Run an experiment: what is recorded already is not run again."""

import statistics

from keras_ssc.experiments.records import last_accuracy
from keras_ssc.experiments.run import run


def open_runs(cells, records):
    """Return the settings of the cells that have no record yet, each once, in order.

    Args:
        cells: list of `Cell`.
        records: `Records`.
    """
    settings = dict.fromkeys(setting for cell in cells for setting in cell.settings)
    return [setting for setting in settings if setting not in records]


def reproduce(cells, records, data_dir=None, limit=None, progress=print):
    """Run what is open of an experiment, and record each run when it is done.

    Args:
        cells: list of `Cell`.
        records: `Records`.
        data_dir: as for `keras_ssc.datasets.load`.
        limit: int, at most so many runs; None: all.
        progress: function that takes lines.

    Returns:
        int, how many runs are still open.

    Raises:
        what `run` raises; the runs before are recorded then.
    """
    todo = open_runs(cells, records)
    taken = []
    for number, setting in enumerate(todo[:limit], start=1):
        record = run(setting, data_dir, progress)
        records.add(record)
        taken.append(record["seconds"])
        left = (len(todo) - number) * statistics.mean(taken)
        progress(
            f"{number} of {len(todo)}: {setting}: {last_accuracy(record):.4f} in "
            f"{record['seconds']:.0f} s; the others take about {left / 60:.0f} min"
        )
    return len(todo) - len(taken)
