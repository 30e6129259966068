"""Break a training many times in a short time: faults.py with forks in the place of processes.

python tests/faults/faults_in_forks.py --kills 50 --writes 10 --terms 10

Each process is a fork of one that has imported everything and computed nothing, so that a start
takes no time. What runs in it is applications/train.py with its own command line; only the network
is replaced by a tiny one, and the first batch leaves a mark, which separates start from epochs. A
"write" is a kill while a checkpoint is being written: its incomplete file must be found.
"""

import argparse
import collections
import contextlib
import csv
import os
import random
import runpy
import signal
import sys
import tempfile
import time
import traceback
import zipfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

PROGRAM = Path(__file__).parents[2] / "applications" / "train.py"
FLAGS = ["--model", "ResNet20", "--limit", "40", "--batch-size", "8", "--epochs", "4"]
FLAGS += ["--learning-rate", "0.02"]


def tiny(input_shape, classes, sparsity=None, **_):
    """Two sparse layers in the place of ResNet20."""
    import keras

    import keras_ssc

    return keras.Sequential(
        [
            keras.Input(input_shape),
            keras.layers.Conv2D(8, 3, strides=4),
            keras_ssc.layers.FusedBatchNormalization(activation="relu"),
            keras_ssc.SSCConv2D(8, 3, g=4, p=3),
            keras_ssc.SSCConv2D(16, 3, g=4, p=0),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(classes, activation="softmax"),
        ]
    )


def start(folder, *flags):
    """Fork a process that runs the training program; return its number."""
    child = os.fork()
    if child:
        return child
    code = 70
    try:
        log = os.open(f"{folder}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        from keras_ssc import applications, datasets

        applications.ResNet20 = tiny
        drawn = datasets.Batches.__getitem__

        def marked(batches, index):
            Path(f"{folder}.stepping").touch()
            return drawn(batches, index)

        datasets.Batches.__getitem__ = marked
        sys.path.insert(0, str(PROGRAM.parent))
        sys.argv = [str(PROGRAM), *FLAGS, "--run-dir", str(folder), *flags]
        runpy.run_path(str(PROGRAM), run_name="__main__")
        code = 0
    except SystemExit as end:
        print(end.code, file=sys.stderr)
        code = end.code if isinstance(end.code, int) else 1 if end.code else 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def ended(child, seconds):
    """The exit status of a child within some seconds, or None: it still runs."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    return None


def finish(folder, *flags):
    """Run the training to its end; return (exit code, output)."""
    log = Path(f"{folder}.log")
    log.write_text("")
    code = ended(start(folder, "--resume", *flags), 600)
    return code, log.read_text()


def writing(folder):
    """Files that are being written, or were when their process was killed."""
    found = []
    for holder in list(folder.glob(".writing-*")) if folder.exists() else []:
        with contextlib.suppress(FileNotFoundError):  # finished while we looked
            found += list(holder.iterdir())
    return found


def kill(child):
    """SIGKILL, and wait; whether it hit a living process."""
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) == -signal.SIGKILL


def phase(folder):
    """Where a killed training was."""
    files = writing(folder)
    if any(file.suffix == ".keras" for file in files):
        return "checkpoint write"
    if files:
        return "other write"
    return "epoch" if Path(f"{folder}.stepping").exists() else "start"


def state(folder):
    """Everything that a run has learnt, exactly; seconds left out."""
    import h5py

    found = {}
    for name in ("last.keras", "best.keras"):
        with zipfile.ZipFile(folder / name) as archive, archive.open("model.weights.h5") as file:
            weights = {}
            h5py.File(file, "r").visititems(
                lambda key, item, weights=weights: (
                    weights.update({key: item[()].tobytes()}) if hasattr(item, "shape") else None
                )
            )
        found[name] = weights
    for name in ("metrics.csv", "correlation.csv"):
        with open(folder / name, newline="") as file:
            found[name] = [
                {key: row[key] for key in row if key != "seconds"} for row in csv.DictReader(file)
            ]
    return found


def difference(folder, expected):
    """What a finished run lost: "nothing", or the files that differ."""
    try:
        got = state(folder)
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        return f"unreadable: {error}"
    return ", ".join(name for name in expected if got[name] != expected[name]) or "nothing"


class Campaign:
    """Faults on fresh trainings, and the table of what they did."""

    def __init__(self, parent, seed):
        self.parent, self.random = Path(parent), random.Random(seed)
        self.rows = collections.defaultdict(collections.Counter)
        undisturbed = self.fresh()
        began = time.monotonic()
        code, output = finish(undisturbed)
        assert code == 0, output
        self.seconds = time.monotonic() - began
        self.expected = state(undisturbed)
        print(f"an undisturbed run takes {self.seconds:.1f} s", flush=True)

    def fresh(self):
        """A folder for a new run."""
        return Path(tempfile.mkdtemp(dir=self.parent)) / "run"

    def note(self, fault, happened, lost):
        """One line of the table, counted."""
        self.rows[fault][happened, lost] += 1
        print(f"{fault}: {happened}; lost: {lost}", flush=True)

    def chain(self, fault, count, hit):
        """Start, break, resume, break again ... and compare each end; until `count` faults.

        `hit(child, folder)` breaks; it returns what happened, or None where the run was faster.
        """
        done = 0
        while done < count:
            folder, faults = self.fresh(), []
            while not (folder / "results.json").exists() and done + len(faults) < count:
                Path(f"{folder}.stepping").unlink(missing_ok=True)
                child = start(folder, "--resume")
                happened = hit(child, folder)
                if happened is None:
                    continue
                faults.append(happened)
            code, output = finish(folder)
            lost = difference(folder, self.expected) if code == 0 else f"exit {code}: {output}"
            done += len(faults)
            for happened in faults:
                self.note(fault, happened, lost)

    def at_random(self, child, folder):
        """SIGKILL at any moment."""
        code = ended(child, self.random.uniform(0, 1.1 * self.seconds))
        if code is not None:
            assert code == 0, f"exit {code}: {Path(f'{folder}.log').read_text()}"
            return None
        return f"killed in phase: {phase(folder)}" if kill(child) else None

    def in_a_write(self, child, folder):
        """SIGKILL while a checkpoint is written: some of it is there."""
        skip = self.random.randrange(4)
        seen = set()
        while ended(child, 0.001) is None:
            seen |= {path.parent for path in writing(folder) if path.suffix == ".keras"}
            if len(seen) > skip:
                time.sleep(self.random.uniform(0, 0.01))
                kill(child)
                return f"killed in phase: {phase(folder)}"
        return None

    def terminated(self, child, folder):
        """SIGTERM at any moment: exit 143."""
        code = ended(child, self.random.uniform(0.1, 1.1 * self.seconds))
        if code is not None:
            return None
        os.kill(child, signal.SIGTERM)
        code = ended(child, 120)
        return None if code == 0 else f"exit {code}"

    def damaged(self, name, damage):
        """The newest checkpoint of an unfinished run is damaged."""
        folder = self.fresh()
        child = start(folder, "--resume")
        while not (folder / "before.keras").exists():
            assert ended(child, 0.001) is None, "the run was too fast"
        kill(child)
        last = folder / "last.keras"
        if not last.exists():  # killed between the two renames
            return self.note(f"{name} checkpoint", "killed before it", "not tried")
        content = last.read_bytes()
        last.write_bytes(damage(content, self.random))
        assert last.read_bytes() != content
        code, output = finish(folder)
        detected = "detected, the one before taken" if "Going back" in output else "NOT DETECTED"
        lost = difference(folder, self.expected) if code == 0 else f"exit {code}: {output}"
        return self.note(f"{name} checkpoint", detected, lost)

    def table(self):
        """Print what happened; return whether anything was lost."""
        print(f"\n{'fault':<24}{'times':>6}  what happened; what was lost")
        for fault, counts in self.rows.items():
            for (happened, lost), times in sorted(counts.items()):
                print(f"{fault:<24}{times:>6}  {happened}; {lost}")
        return any(lost != "nothing" for counts in self.rows.values() for _, lost in counts)


def flip(content, random):
    """One bit of a file, turned over; the zip's own directory at its end stays intact."""
    flipped = bytearray(content)
    flipped[random.randrange(len(content) // 10, len(content) // 2)] ^= 1 << random.randrange(8)
    return bytes(flipped)


DAMAGES = {
    "truncated": lambda content, random: content[: random.randrange(len(content))],
    "empty": lambda content, random: b"",
    "bit-flipped": flip,
}


def main():
    """Run the campaign."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name, count in {"kills": 50, "writes": 10, "terms": 10, "others": 3, "seed": 0}.items():
        parser.add_argument(f"--{name}", type=int, default=count)
    arguments = parser.parse_args()
    # Imported, and nothing computed: a fork of a process that has computed would hang.
    import keras_ssc.training  # noqa: F401

    print(f"seed {arguments.seed}")
    with tempfile.TemporaryDirectory() as parent:
        campaign = Campaign(parent, arguments.seed)
        campaign.chain("SIGKILL at random", arguments.kills, campaign.at_random)
        campaign.chain("SIGKILL in a write", arguments.writes, campaign.in_a_write)
        campaign.chain("SIGTERM at random", arguments.terms, campaign.terminated)
        for _ in range(arguments.others):
            for name, damage in DAMAGES.items():
                campaign.damaged(name, damage)
        sys.exit(1 if campaign.table() else 0)


if __name__ == "__main__":
    main()
