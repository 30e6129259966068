"""Results of whole networks, looked up: which competitor, at which network, pass and batch."""

from common import results, subjects

INFER, TRAIN = "infer", "train"
# The ending of a competitor's name as one uses it.
AS_USED = {INFER: ", optimized", TRAIN: ""}


class Cells:
    """The rows of one file.

    Args:
        rows: list of dicts, as `results.read` returns them.
    """

    def __init__(self, rows):
        self.rows = rows
        self._found = {
            (row["network"], row["pass"], int(row["batch"]), row["competitor"]): row
            for row in rows
            if row["median_ms"]
        }

    @classmethod
    def of(cls, path):
        """The cells of a file, ratios computed anew from its medians."""
        runs = {}
        for row in results.read(path):
            runs.setdefault((row["network"], row["pass"], row["batch"]), []).append(row)
        return cls([row for run in runs.values() for row in results.against_fastest_dense(run)])

    def get(self, network, task, batch, competitor):
        """The row, or None where that was not run."""
        return self._found.get((network, task, batch, competitor))

    def ssc(self, network, task, batch, setting):
        """The row of SSC as one uses it: optimized for inference."""
        return self.get(network, task, batch, f"SSC {setting}{AS_USED[task]}")

    def competitors(self, network):
        """Their names, in the order of the file."""
        return list(dict.fromkeys(r["competitor"] for r in self.rows if r["network"] == network))

    def runs(self, network):
        """The (pass, batch) that were run."""
        every = [(task, batch) for task in (INFER, TRAIN) for batch in batches(network)]
        return [run for run in every if any(key[:3] == (network, *run) for key in self._found)]

    @property
    def networks(self):
        """Names, in the order of `subjects.SUBJECTS`."""
        named = {row["network"] for row in self.rows}
        return [name for name in subjects.SUBJECTS if name in named]


def batches(network):
    """The batches that a network is measured at."""
    return subjects.SUBJECTS[network].batches


def settings(network):
    """The names of its sparse settings."""
    return list(subjects.SUBJECTS[network].sparse)
