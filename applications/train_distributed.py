"""Train a network on several devices of a machine, or in several processes (JAX).

python applications/train_distributed.py --dataset digits --devices 2 --split-cpu 2 --run-dir runs/2
"""

import argparse
import os
import sys

from _program import run, stop

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")


def parse():
    """Return the parser and the parsed command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--model", default="ResNet20", help="a builder of keras_ssc.applications")
    add("--sparsity", type=float, default=0.9, help="network sparsity in [0, 1)")
    add("--dataset", default="digits", help="in memory, or of tensorflow-datasets: streamed")
    add("--data-dir", help="folder of tensorflow-datasets")
    add("--test-split", default="validation", help="of a streamed set")
    add("--image-size", type=int, default=224, help="of a streamed set")
    add("--epochs", type=int, default=6)
    add("--batch-size", type=int, default=64, help="of all devices, for one update")
    add("--learning-rate", type=float, default=0.02, help="at the start")
    add("--momentum", type=float, default=0.9)
    add("--l2", type=float, default=1e-4, help="coupled L2")
    add("--seed", type=int, default=0)
    add("--devices", type=int, help="of this machine; default: all")
    add("--split-cpu", type=int, help="divide the CPU into so many logical devices, for trials")
    add("--address", help="host:port of process 0, with --processes")
    add("--processes", type=int, default=1, help="how many processes train together (JAX)")
    add("--process", type=int, default=0, help="which one this is, from 0")
    add("--accumulate", type=int, default=1, help="pieces of a batch, one after the other")
    add("--bf16", action="store_true", help="compute in bfloat16")
    add("--execution", default="auto", help="how the sparse layers compute")
    add("--run-dir", help="folder that all processes see; a run in it is gone on with")
    add("--dry-run", action="store_true", help="two updates, nothing written")
    return parser, parser.parse_args()


def main():
    """Train, and print each epoch."""
    parser, arguments = parse()
    chosen = vars(arguments)
    run_dir, dry_run, split = (chosen.pop(name) for name in ("run_dir", "dry_run", "split_cpu"))
    if dry_run == (run_dir is not None):
        parser.error("give either --run-dir or --dry-run")
    # Imported here, so that --help and a mistyped flag answer at once.
    from keras_ssc.training.devices import split_cpu
    from keras_ssc.training.distributed import LostProcess, train_distributed
    from keras_ssc.training.job import Job

    try:
        if split:
            split_cpu(split)
        job = Job(**chosen)
        model, _ = train_distributed(job, run_dir)
    except LostProcess as error:
        print(f"train_distributed: {error}", file=sys.stderr, flush=True)
        os._exit(1)  # an ordinary exit would wait for the lost process
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        stop(error)
    if dry_run:
        print(f"Dry run: {model.count_params():,} parameters, updates done, nothing written")


if __name__ == "__main__":
    run(main)
