"""Train a network on several devices of a machine, or in several processes (JAX).

python applications/train_distributed.py --dataset digits --devices 2 --split-cpu 2 --run-dir runs/2
"""

import argparse
import os
import sys

from _program import run, stop

os.environ.setdefault("KERAS_SSC_QUIET", "1")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
FIELDS = (
    *("model", "sparsity", "g", "p", "dataset", "data_dir", "image_size", "validation_split"),
    *("test_split", "epochs", "batch_size", "learning_rate", "momentum", "l2", "seed", "limit"),
    *("devices", "address", "processes", "process", "accumulate", "bf16", "execution"),
)
DEFAULTS = {"model": "ResNet20"}


def parse():
    """Return the parser and the parsed command line."""
    from keras_ssc.cli.config_arguments import add_config_arguments
    from keras_ssc.cli.train import add_folder_arguments

    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add_config_arguments(parser, FIELDS, **DEFAULTS)
    add_folder_arguments(parser)
    add = parser.add_argument
    add("--split-cpu", type=int, help="divide the CPU into this many logical devices, for trials")
    add("--dry-run", action="store_true", help="two updates, nothing written")
    return parser, parser.parse_args()


def main():
    """Train, and print each epoch."""
    parser, arguments = parse()
    if arguments.dry_run == bool(arguments.run_dir or arguments.resume):
        parser.error("give either --run-dir (or --resume RUN_DIR), or --dry-run")
    from keras_ssc.cli.config_arguments import given
    from keras_ssc.cli.train import chosen
    from keras_ssc.training.config import TrainingConfig
    from keras_ssc.training.devices import split_cpu
    from keras_ssc.training.distributed import LostProcess, train_distributed
    from keras_ssc.training.sigterm import Interrupted, Terminated

    try:
        if arguments.dry_run:
            config, folder, resume = TrainingConfig(**DEFAULTS | given(arguments)), None, False
        else:
            config, folder, resume = chosen(arguments, **DEFAULTS)
        if arguments.split_cpu:
            split_cpu(arguments.split_cpu)
        model, _ = train_distributed(config, folder, resume=resume)
    except Terminated as end:
        print(f"Ended by SIGTERM {end.where}. Resume with: --resume {folder}", flush=True)
        raise
    except Interrupted as end:
        print(f"\nInterrupted {end.where}. Resume with: --resume {folder}", file=sys.stderr)
        sys.exit(130)
    except LostProcess as error:
        print(f"train_distributed: {error}", file=sys.stderr, flush=True)
        os._exit(1)  # an ordinary exit would wait for the lost process
    except (ImportError, OSError, RuntimeError, TypeError, ValueError) as error:
        stop(error)
    if arguments.dry_run:
        print(f"Dry run: {model.count_params():,} parameters, updates done, nothing written")


if __name__ == "__main__":
    run(main)
