"""Records of runs in a folder: one small JSON file each, named by the settings' hash."""

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
    >>> records.add({"key": setting.key, "setting": setting.as_dict(), "metrics": []})
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
            if not all(isinstance(epoch, dict) for epoch in record["metrics"]):
                raise ValueError("metrics must be one object for each epoch")
            measured = [epoch.get("val_accuracy", 0) for epoch in record["metrics"]]
            tested = record.get("test", {})
            measured += [tested[which]["accuracy"] for which in ("last", "best") if which in tested]
            if not all(0 <= value <= 1 for value in measured):
                raise ValueError("accuracies must lie in [0, 1]")
            if record["metrics"] and not tested and "val_accuracy" not in record["metrics"][-1]:
                raise ValueError("it has no accuracy")
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
        """Write a record to a temporary path, renamed when it is complete."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.path(Setting(**record["setting"]))
        with beside(path) as temporary:
            temporary.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def last_accuracy(record):
    """Return the test accuracy after the last epoch; of `held_out` images where these are asked."""
    if "test" in record:
        return record["test"]["last"]["accuracy"]
    return record["metrics"][-1]["val_accuracy"]


def last_top5(record):
    """Return the top-5 accuracy after the last epoch, None where it was not measured."""
    last = record["test"]["last"] if "test" in record else record["metrics"][-1]
    return last.get("top5", last.get("val_top5"))


def best_accuracy(record):
    """Return the test accuracy of the best epoch, None where no validation images chose it.

    The first records chose it by the test images themselves, as GraSP's pipeline does
    (`chosen_on_test`).
    """
    if "test" in record:
        return record["test"].get("best", {}).get("accuracy")
    return max(epoch.get("val_accuracy", 0) for epoch in record["metrics"])


def chosen_on_test(record):
    """Return whether the best epoch of a record was chosen on the images that test it."""
    return "test" not in record and not record["setting"]["held_out"]
