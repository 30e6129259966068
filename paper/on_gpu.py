"""ResNet32 on CIFAR-10 by the paper's protocol, in short calls on a GPU machine; SSC comes first.

For a machine that is lent for minutes, has Keras on JAX and no TensorFlow, and to and from which
few MiB travel at once. Here, with CIFAR-10 prepared in data (applications/prepare_dataset.py):

python -m paper.on_gpu pack --data-dir data carry-1 carry-2

There, in the root of the repository, once for each of the folders, as they come:

mkdir -p images && cp carry-1/* images

and when both have come, with records.tar.gz of the call before, if there is one (otherwise without
--carried):

KERAS_BACKEND=jax python -m paper.on_gpu run --data-dir images \\
    --carried records.tar.gz --out out/records.tar.gz --minutes 9

It ends with exit code 143 when the minutes are over, and with 0 when all runs are done; what it
wrote to --out is all that the next call needs besides the images. Here again:

tar -xzf records.tar.gz --exclude .unfinished -C docs/evidence/records

Several at once, each with its own --records, --out and --rows or --columns, use more of the GPU
than one does: XLA_PYTHON_CLIENT_PREALLOCATE=false lets them share its memory.
On an H200 four of them took 18 ms a step each, tests included, under NVIDIA's multi-process service
(MPS), so 160 epochs took 20 minutes, and 24 ms without it.

With --dry-run: 2 epochs on few images, recorded apart.
"""

import argparse
import functools
import gzip
import io
import os
import signal
import sys
import tarfile
import zlib
from pathlib import Path
from threading import Timer

from keras_ssc import datasets
from keras_ssc.atomic_write import check_new_file, new_file
from keras_ssc.datasets.packed import pack
from keras_ssc.training.checkpoint import LAST
from keras_ssc.training.run_folder import RunFolderError
from keras_ssc.training.sigterm import Terminated, Termination
from paper import EXPERIMENTS, Records, dry, reproduce

ROWS = ("SSC", "GraSP", "SNIP", "random ERK", "dense")  # of table 1, in the order of running
COLUMNS = ("0.98", "0.9")


def parse():
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    modes = parser.add_subparsers(dest="mode", required=True)
    packing = modes.add_parser("pack", help="pack the images for the way")
    packing.add_argument("--data-dir", help="folder of tensorflow-datasets")
    packing.add_argument("folders", nargs="+", help="each takes an equal part")
    add = modes.add_parser("run", help="run what is open, or resume").add_argument
    add("--data-dir", required=True, help="folder of the packed images")
    add("--carried", help="records.tar.gz of the call before")
    add("--out", required=True, help="records.tar.gz to write: records, and the open run")
    add("--minutes", type=float, default=9, help="then the step is finished and saved")
    add("--records", default="runs/paper_on_gpu", help="folder to work in")
    add("--rows", nargs="+", default=ROWS, choices=ROWS)
    add("--columns", nargs="+", default=COLUMNS, choices=COLUMNS)
    add("--seeds", type=int, nargs="+", default=[3, 4, 5])
    add("--dry-run", action="store_true")
    return parser.parse_args()


def wanted(rows, columns, seeds):
    """Return the cells in the order of running: a seed of all rows, then the next seed."""
    cells = []
    for seed in seeds:
        table = EXPERIMENTS["table1"]("paper", seeds=(seed,))
        of = {(cell.row, cell.column): cell for cell in table if is_ours(cell)}
        cells += [of[row, column] for row in rows for column in columns]
    return cells


def is_ours(cell):
    """Return whether a cell is of ResNet32 on CIFAR-10."""
    return (cell.network, cell.dataset) == ("ResNet32", "cifar10")


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
    """Write an archive of the records, and of the last checkpoint of each open run."""
    files = sorted(folder.glob("*.json"))
    for path in sorted(folder.glob(f".unfinished/*/{LAST}")):
        if not (folder / f"{path.parent.name}.json").exists():
            files.append(path)
    with (
        new_file(archive, ".gz", overwrite=True) as temporary,
        tarfile.open(temporary, "w:gz") as tar,
    ):
        for path in files:
            tar.add(path, path.relative_to(folder))


def run(arguments):
    """Run until all is done or the time is over."""
    Path(arguments.out).parent.mkdir(parents=True, exist_ok=True)
    check_new_file(arguments.out, ".gz", overwrite=True)
    folder = Path(f"{arguments.records}-dry" if arguments.dry_run else arguments.records)
    folder.mkdir(parents=True, exist_ok=True)
    if arguments.carried:
        unpack(arguments.carried, folder)
    cells = wanted(arguments.rows, arguments.columns, arguments.seeds)
    if arguments.dry_run:
        cells = dry(cells)
    limit = Timer(60 * arguments.minutes, os.kill, (os.getpid(), signal.SIGTERM))
    limit.daemon = True
    try:
        with Termination():
            limit.start()
            progress = functools.partial(print, flush=True)
            left = reproduce(cells, Records(folder), arguments.data_dir, progress=progress)
    except Terminated as end:
        print(f"Ended {end.where}. The next call resumes there.", flush=True)
        raise
    finally:
        limit.cancel()
        keep(folder, arguments.out)
    print(f"{left} runs are open. The records are in {arguments.out}")


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
