"""ResNet32 on CIFAR-10 by the paper's protocol, in short calls on a GPU machine.

For a machine that is lent for minutes, has Keras on JAX and no TensorFlow, and to and from which
few MiB travel at once. The rows with fixed masks run, dense and SSC among them, by the loop of
`gpu_loop`: an epoch is one call of the GPU, convolutions compute in bfloat16. How many seconds a
run takes so: not run.

Here, with CIFAR-10 prepared in data (applications/prepare_dataset.py):

python -m paper.on_gpu pack --data-dir data carry-1 carry-2

There, in the root of the repository, once for each of the folders, as they come:

mkdir -p images && cp carry-1/* images

and when both have come, the first slice in calls of at most nine minutes; MPS lets its five
processes share the GPU:

nvidia-cuda-mps-control -d
export KERAS_BACKEND=jax XLA_PYTHON_CLIENT_PREALLOCATE=false
python -m paper.on_gpu run --slice 1 --only train --data-dir images --processes 5 --minutes 8.5 \\
    --out out/records.tar.gz --cache out/cache
python -m paper.on_gpu run --slice 1 --only train --data-dir images --processes 5 --minutes 8.5 \\
    --carried out/records.tar.gz --out out/records-2.tar.gz --cache out/cache

Each further call carries the archive of the one before; the folder of compiled programs, if it
comes along, spares a minute. The second slice is the same with --slice 2. A call ends with exit
code 143 when the minutes are over, and with 0 when all runs are trained. Here, with the last
archive:

KERAS_BACKEND=jax python -m paper.on_gpu run --slice 1 --only test --data-dir images \\
    --carried out/records-2.tar.gz --out records.tar.gz
tar -xzf records.tar.gz --exclude .unfinished --exclude weights --skip-old-files \\
    -C docs/evidence/records
tar -xzf records.tar.gz -C runs weights

Without --only a call tests and records what it has trained.

The run of "SSC, per_filter" in slice 1 is the calibration: the first records have 89.4 % for it.

With --dry-run: 2 epochs on few images, recorded apart.
"""

import argparse
import functools
import gzip
import io
import os
import signal
import subprocess
import sys
import tarfile
import zlib
from contextlib import suppress
from pathlib import Path
from threading import Timer

from keras_ssc import datasets
from keras_ssc.atomic_write import check_new_file, new_file
from keras_ssc.datasets.packed import pack
from keras_ssc.training.lock import FolderInUseError, locked
from keras_ssc.training.run_folder import RunFolderError
from keras_ssc.training.sigterm import Terminated, Termination
from paper import EXPERIMENTS, Records, dry, open_runs, reproduce
from paper.gpu_checkpoint import CHECKPOINT
from paper.tables import BUTTERFLY

WEIGHTS = "weights"  # folder beside the records
# (row of table 1, column), in the order of running.
SLICES = {
    1: [
        ("dense", "0.98"),
        ("SSC, uniform", "0.9"),
        ("SSC, per_filter", "0.98"),
        (BUTTERFLY, "0.98"),
        ("SSC, live initial scale", "0.98"),
    ],
    2: [(row, "0.98") for row in ("GraSP", "SNIP", "SynFlow", "smart ratio", "random ERK")],
}


def parse(arguments=None):
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    modes = parser.add_subparsers(dest="mode", required=True)
    packing = modes.add_parser("pack", help="pack the images for the way")
    packing.add_argument("--data-dir", help="folder of tensorflow-datasets")
    packing.add_argument("folders", nargs="+", help="each takes an equal part")
    add = modes.add_parser("run", help="run what is open, or resume").add_argument
    add("--data-dir", required=True, help="folder of the packed images")
    add("--slice", type=int, default=1, choices=SLICES, help="which rows")
    add("--seeds", type=int, nargs="+", default=[3])
    add("--carried", help="records.tar.gz of the call before")
    add("--out", required=True, help="records.tar.gz to write: records, weights, open runs")
    add("--minutes", type=float, default=8.5, help="then the epoch is finished and saved")
    add("--processes", type=int, default=1, help="so many runs at once")
    add("--records", default="runs/paper_on_gpu", help="folder to work in")
    add("--cache", help="folder of compiled programs, kept for the next call")
    only = "train: leave tests and records to a later call; test: test and record what is trained"
    add("--only", choices=["train", "test"], help=only)
    add("--float32", action="store_true", help="convolutions in float32, not in bfloat16")
    add("--dry-run", action="store_true")
    add("--worker", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def wanted(slice_, seeds):
    """Return the cells of a slice in the order of running: a seed of all, then the next seed."""
    cells = []
    for seed in seeds:
        table = EXPERIMENTS["table1"]("paper", seeds=(seed,))
        of = {
            (cell.row, cell.column): cell
            for cell in table
            if (cell.network, cell.dataset) == ("ResNet32", "cifar10")
        }
        cells += [of[key] for key in SLICES[slice_]]
    return cells


def unpack(archive, folder):
    """Put the records and checkpoints of an archive into a folder; what is there stays."""
    try:
        whole = gzip.decompress(Path(archive).read_bytes())
        with tarfile.open(fileobj=io.BytesIO(whole)) as tar:
            new = [one for one in tar.getmembers() if not (folder / one.name).exists()]
            tar.extractall(folder, members=new, filter="data")
    except (EOFError, OSError, tarfile.TarError, zlib.error) as error:
        raise ValueError(f"`carried` {str(archive)!r} can't be read: {error}") from error


def keep(folder, archive):
    """Write an archive of records and weights, and of the checkpoint of each open run."""
    files = sorted([*folder.glob("*.json"), *folder.glob(f"{WEIGHTS}/*")])
    for path in sorted(folder.glob(f".unfinished/*/{CHECKPOINT}")):
        if not (folder / f"{path.parent.name}.json").exists():
            files.append(path)
            files += path.parent.glob("best.weights.h5")
    with (
        new_file(archive, ".gz", overwrite=True) as temporary,
        tarfile.open(temporary, "w:gz") as tar,
    ):
        for path in files:
            tar.add(path, path.relative_to(folder))


def work(arguments, folder):
    """Run what no other process does, until all is done or the time is over."""
    import jax

    from paper.gpu_checkpoint import epochs_done
    from paper.gpu_run import run_on_gpu, train_on_gpu

    (folder / WEIGHTS).mkdir(exist_ok=True)
    if arguments.cache:
        jax.config.update("jax_compilation_cache_dir", str(Path(arguments.cache).absolute()))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 1)

    precision = "float32" if arguments.float32 else "bfloat16"

    def train(setting, data_dir, progress, own):
        weights = folder / WEIGHTS / f"{setting.key}.weights.h5"
        return run_on_gpu(setting, data_dir, progress, own, precision, weights)

    def is_trained(setting):
        return epochs_done(records.unfinished(setting), setting) == setting.epochs

    def train_only(settings, progress):
        for setting in settings:
            own = records.unfinished(setting)
            with suppress(FolderInUseError), locked(own):
                if not is_trained(setting):
                    train_on_gpu(setting, arguments.data_dir, progress, own, precision)

    records, cells = Records(folder), wanted(arguments.slice, arguments.seeds)
    if arguments.dry_run:
        cells = dry(cells)
    if arguments.only == "test":
        cells = [cell for cell in cells if all(map(is_trained, cell.settings))]
    limit = Timer(60 * arguments.minutes, os.kill, (os.getpid(), signal.SIGTERM))
    limit.daemon = True
    try:
        with Termination():
            limit.start()
            progress = functools.partial(print, flush=True)
            if arguments.only == "train":
                train_only(open_runs(cells, records), progress)
            else:
                reproduce(cells, records, arguments.data_dir, progress=progress, train=train)
    except Terminated as end:
        print(f"Ended {end.where}. The next call resumes there.", flush=True)
        raise
    finally:
        limit.cancel()


def work_together(count):
    """Start so many processes like this one, wait for all; raise `Terminated` if one ended so."""
    command = [sys.executable, "-m", "paper.on_gpu", *sys.argv[1:], "--worker"]
    running = [subprocess.Popen(command) for _ in range(count)]
    try:
        codes = [one.wait() for one in running]
    except (SystemExit, KeyboardInterrupt):
        for one in running:
            one.terminate()
        for one in running:
            one.wait()
        raise
    if wrong := [code for code in codes if code not in (0, 143)]:
        raise ValueError(f"{len(wrong)} of {count} processes failed, with exit codes {wrong}")
    if 143 in codes:
        raise Terminated("by the processes' own limits")


def run(arguments):
    """Run until all is done or the time is over, and write the archive."""
    folder = Path(f"{arguments.records}-dry" if arguments.dry_run else arguments.records)
    if arguments.worker:
        work(arguments, folder)
        return
    Path(arguments.out).parent.mkdir(parents=True, exist_ok=True)
    check_new_file(arguments.out, ".gz", overwrite=True)
    folder.mkdir(parents=True, exist_ok=True)
    if arguments.carried:
        unpack(arguments.carried, folder)
    try:
        if arguments.processes > 1:
            with Termination():
                work_together(arguments.processes)
        else:
            work(arguments, folder)
    finally:
        keep(folder, arguments.out)
    done = {None: "done", "train": "trained", "test": "tested that were trained"}[arguments.only]
    print(f"All runs are {done}. The records are in {arguments.out}")


def main():
    """Pack, or run."""
    arguments = parse()
    try:
        if arguments.mode == "pack":
            pack(datasets.load("cifar10", arguments.data_dir), arguments.folders)
        else:
            run(arguments)
    except (FloatingPointError, ImportError, OSError, RunFolderError, ValueError) as error:
        sys.exit(f"on_gpu: {error}")


if __name__ == "__main__":
    main()
