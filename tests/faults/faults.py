"""Kill, stop, damage and fill up a real training, resume it, and compare its end bit for bit.

python tests/faults/faults.py --kills 50
"""

import argparse
import collections
import csv
import io
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from pathlib import Path

import h5py
import numpy as np

ROOT = Path(__file__).parents[2]
FLAGS = ["--model", "VGG11", "--sparsity", "0.98", "--limit", "64", "--batch-size", "4"]
FLAGS += ["--epochs", "6", "--learning-rate", "0.01"]


class Training:
    """One process of applications/train.py on a folder."""

    def __init__(self, folder, file_limit=None):
        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))

        self.folder, self.output, self.began = folder, "", time.monotonic()
        command = [sys.executable, "-u", "applications/train.py", *FLAGS, "--resume"]
        self.process = subprocess.Popen(
            [*command, "--run-dir", str(folder)],
            cwd=ROOT,
            env={"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(ROOT)} | os.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=limit if file_limit else None,
        )
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.output += line

    def training(self):
        """Whether the start is over."""
        return "Resuming after" in self.output or (
            (self.folder / "summary.txt").exists() and not (self.folder / "before.keras").exists()
        )

    def until(self, condition, limit=600):
        """Wait for a condition; False if the process ended before."""
        end = time.monotonic() + limit
        while not condition():
            if self.process.poll() is not None:
                return False
            if time.monotonic() > end:
                raise TimeoutError(self.output)
            time.sleep(0.0005)
        return True

    def end(self, number=None):
        """Send a signal, wait for the end, return the exit code."""
        if number is not None and self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(600)
        self.reader.join()
        return code


def numbers(path):
    """Every array of a `.keras` file, weights and optimizer."""
    with zipfile.ZipFile(path) as archive:
        file = h5py.File(io.BytesIO(archive.read("model.weights.h5")))
    found = {}
    file.visititems(
        lambda name, item: found.update({name: item[()]} if isinstance(item, h5py.Dataset) else {})
    )
    return found


def difference(one, two):
    """What differs between two finished runs; the time is left out."""
    found = []
    for name in ("last.keras", "best.keras"):
        a, b = numbers(one / name), numbers(two / name)
        if a.keys() != b.keys() or not all(np.array_equal(a[key], b[key]) for key in a):
            found.append(name)
    for name in ("metrics.csv", "correlation.csv"):
        tables = [list(csv.DictReader((folder / name).open())) for folder in (one, two)]
        for row in tables[0] + tables[1]:
            row.pop("seconds", None)
        if tables[0] != tables[1]:
            found.append(name)
    return found


def writing(folder, name="last.keras"):
    """Whether a checkpoint is being written."""
    return any(folder.glob(f".writing-*/{name}"))


def kill(training, aim, seconds, chance):
    """Kill at a random moment of a phase; return the phase in which it fell, None if too late."""
    folder, seen = training.folder, 0
    if aim == "start":
        time.sleep(chance.uniform(0, seconds["start"]))
    elif aim == "epoch":
        training.until(training.training)
        time.sleep(chance.uniform(0, seconds["training"]))
    else:
        for _ in range(chance.choice((1, 1, 2, 3))):
            training.until(lambda: not writing(folder))
            training.until(lambda: writing(folder))
        time.sleep(chance.choice((0, 0.01, 0.05, 0.1)) * chance.random())
    seen = training.training()
    if training.end(signal.SIGKILL) != -signal.SIGKILL:
        return None
    if writing(folder):
        return "checkpoint write"
    if any(folder.glob(".writing-*")):
        return "another write"
    return "epoch" if seen else "start"


def damage(path, chance):
    """Truncate, flip a bit of, or empty a file; return the word for it."""
    content = bytearray(path.read_bytes())
    kind = chance.choice(("truncated", "bit flipped", "emptied"))
    if kind == "truncated":
        content = content[: chance.randrange(1, len(content))]
    elif kind == "emptied":
        content = b""
    else:
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)
    return kind


class Campaign:
    """Chains of faults on trainings, each compared with the undisturbed one at its end."""

    def __init__(self, home, seed):
        self.home, self.chance = home, random.Random(seed)
        self.table, self.chain, self.ends = collections.Counter(), 0, 0
        print(f"seed {seed}", flush=True)
        self.plain = home / "undisturbed"
        run = Training(self.plain)
        run.until(run.training)
        middle = time.monotonic()
        assert run.end() == 0, run.output
        self.seconds = {"start": middle - run.began, "training": time.monotonic() - middle}
        print(f"undisturbed: {self.seconds}", flush=True)

    @property
    def folder(self):
        return self.home / f"chain{self.chain}"

    def note(self, fault, happened):
        """Count and print."""
        self.table[fault, happened] += 1
        print(f"{fault}: {happened}", flush=True)

    def finish(self, run=None):
        """Bring a chain to its end and compare."""
        run = run or Training(self.folder)
        code = run.end()
        different = difference(self.plain, self.folder) if code == 0 else [run.output]
        self.note("resumed to the end", f"DIFFERS: {different}" if different else "bit-equal")
        shutil.rmtree(self.folder)
        self.chain += 1

    def kills(self, count, inside):
        """SIGKILL at random moments, at least so many of them while a checkpoint is written."""
        aims = ["write"] * (inside + inside // 2)
        aims += [("start", "epoch")[i % 2] for i in range(count - len(aims))]
        self.chance.shuffle(aims)
        while aims:
            run = Training(self.folder)
            phase = kill(run, aims[-1], self.seconds, self.chance)
            if phase is None:  # it had ended
                self.finish(run)
                continue
            aims.pop()
            self.note(f"SIGKILL, {phase}", "resumed")
            if self.chance.random() < 0.3:
                self.damaged()
        self.finish()

    def damaged(self):
        """Damage the newest checkpoint of two."""
        last, before = self.folder / "last.keras", self.folder / "before.keras"
        if not (last.exists() and before.exists()):
            return
        kind = damage(last, self.chance)
        run = Training(self.folder)
        run.until(lambda: "Resuming after" in run.output)
        back = "Going back" in run.output
        run.end(signal.SIGKILL)
        harmless = kind == "bit flipped" and not back  # a bit that nothing depends on
        word = "NOT DETECTED"
        if back or harmless:
            word = "detected, the one before taken" if back else "no number changed"
        self.note(f"newest checkpoint {kind}", word)

    def terminated(self, count):
        """SIGTERM during training."""
        for _ in range(count):
            run = Training(self.folder)
            if run.until(run.training):
                time.sleep(self.chance.uniform(0, self.seconds["training"]))
            code = run.end(signal.SIGTERM)
            self.note("SIGTERM", f"exit {code}" if code else "had ended")
            print("   ", run.output.strip().splitlines()[-1], flush=True)
            if code == 0:
                self.finish(run)
        self.finish()

    def others(self):
        """A second process; a disk that is full."""
        run = Training(self.folder)
        run.until(run.training)
        second = Training(self.folder)
        refused = second.end() == 1 and f"in use by process {run.process.pid}" in second.output
        self.note("second process", "refused, the first one named" if refused else second.output)
        run.until((self.folder / "last.keras").exists)
        run.end(signal.SIGKILL)
        content = (self.folder / "last.keras").read_bytes()
        self.full("file size limited", self.folder, content, limit=20_000)
        size = 50_000 + len(content) // 2  # no room for another checkpoint
        size += sum(-(-file.stat().st_size // 4096) * 4096 for file in self.folder.iterdir())
        small = self.home / "small"
        small.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(small)]
        if subprocess.run(mount, capture_output=True).returncode:
            print("full tmpfs: not tried, mount is not allowed", flush=True)
        else:
            try:
                shutil.copytree(self.folder, small, dirs_exist_ok=True)
                self.full("full tmpfs", small, content)
            finally:
                subprocess.run(["umount", str(small)], check=True)
        below = self.plain / "settings.json" / "run"
        run = Training(below)
        good = run.end() == 1 and "can't be a run folder" in run.output
        self.note("path below a file", "one line" if good else f"NOT GOOD: {run.output}")
        self.finish()

    def full(self, kind, folder, content, limit=None):
        """Resume where the disk is full, and check that last.keras stays."""
        run = Training(folder, limit)
        code, line = run.end(), run.output.strip().splitlines()[-1]
        good = code == 1 and "can't be written" in line and "Traceback" not in run.output
        good = good and (folder / "last.keras").read_bytes() == content
        self.note(kind, "one line, nothing lost" if good else f"NOT GOOD: {code} {run.output}")
        print("   ", line, flush=True)


def main():
    """Run the campaign; exit code 1 if anything differs."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--inside", type=int, default=10, help="kills inside a checkpoint write")
    parser.add_argument("--terms", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        campaign = Campaign(Path(home), arguments.seed)
        campaign.others()
        campaign.terminated(arguments.terms)
        campaign.kills(arguments.kills, arguments.inside)
    print("\n| fault | what happened | times |\n|---|---|---|")
    for (fault, happened), times in sorted(campaign.table.items()):
        print(f"| {fault} | {happened.splitlines()[0][:80]} | {times} |")
    words = ("DIFFERS", "NOT ")
    sys.exit(any(word in happened for _, happened in campaign.table for word in words))


if __name__ == "__main__":
    main()
