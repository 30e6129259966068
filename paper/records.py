"""Records of runs in a folder: one small JSON file each, named by the settings' hash."""

import dataclasses
import json
from pathlib import Path

from keras_ssc.training.run_folder import beside
from paper.setting import Setting


class Records:
    """The finished runs of a folder.

    Args:
        folder: str or pathlib.Path; made when the first record is written.

    Raises:
        ValueError: a file is no record, or is not the one that its name says.

    Example:

    >>> import tempfile
    >>> records = Records(tempfile.mkdtemp())
    >>> setting = Setting("ResNet20", "digits", "dense")
    >>> setting in records
    False
    >>> records.add({"key": setting.key, "setting": dataclasses.asdict(setting), "metrics": []})
    >>> setting in records, records[setting]["metrics"]
    (True, [])
    """

    def __init__(self, folder):
        self.folder = Path(folder)

    def path(self, setting):
        """Return the file of a setting."""
        return self.folder / f"{setting.key}.json"

    def unfinished(self, setting):
        """Return the folder of a run that has no record yet; hidden, and not kept in git."""
        return self.folder / ".unfinished" / setting.key

    def __contains__(self, setting):
        return self.path(setting).exists()

    def __getitem__(self, setting):
        return self.read(self.path(setting))

    def read(self, path):
        """Return the record in a file, checked against its name."""
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            own = Setting(**record["setting"]).key
            if not all(0 <= epoch["val_accuracy"] <= 1 for epoch in record["metrics"]):
                raise ValueError("val_accuracy must lie in [0, 1]")
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise ValueError(f"{str(path)!r} is no record of a run: {error}") from error
        if own != path.stem:
            raise ValueError(f"{str(path)!r} holds the record of other settings, {own}")
        return record

    def all(self):
        """Return all records, in the order of their names."""
        return [self.read(path) for path in sorted(self.folder.glob("*.json"))]

    def pairs(self):
        """Return all records with their settings: list of (`Setting`, dict)."""
        return [(Setting(**record["setting"]), record) for record in self.all()]

    def add(self, record):
        """Write a record beside its place and rename it when it is whole."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.path(Setting(**record["setting"]))
        with beside(path) as temporary:
            temporary.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def last_accuracy(record):
    """Return the test accuracy after the last epoch."""
    return record["metrics"][-1]["val_accuracy"]


def best_accuracy(record):
    """Return the best test accuracy of all epochs, which GraSP's pipeline reports."""
    return max(epoch["val_accuracy"] for epoch in record["metrics"])


def same_but(setting, **changes):
    """Return the setting with some fields changed."""
    return dataclasses.replace(setting, **changes)
