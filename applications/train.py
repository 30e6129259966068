"""Train a network of `keras_ssc.applications` at a sparsity, with GraSP's recipe.

python applications/train.py --model ResNet32 --sparsity 0.9 --dataset digits --run-dir runs/digits
"""

import argparse
import os
import signal
import sys

from _program import run, stop

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# TensorFlow leaves oneDNN off on CPUs without AVX-512, where it would be two to three times faster.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")


def parse():
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--model", default="ResNet32", help="a builder of keras_ssc.applications")
    add("--sparsity", type=float, help="network sparsity in [0, 1); 0.9 without --g and --p")
    add("--g", type=int, help="every g-th channel carries a KxK kernel; with --p")
    add("--p", type=int, help="every p-th other channel carries a 1x1 kernel; with --g")
    add("--dataset", default="digits", help="digits, cifar10 or cifar100")
    add("--data-dir", help="folder of tensorflow-datasets")
    add("--epochs", type=int, help="default: the recipe's")
    add("--batch-size", type=int, help="default: the recipe's")
    add("--learning-rate", type=float, help="at the start; default: the recipe's")
    add("--momentum", type=float, default=0.9)
    add("--l2", type=float, help="coupled L2; default: the recipe's")
    add("--seed", type=int, default=0)
    add("--limit", type=int, help="use only so many training and test images")
    add("--execution", default="auto", help="how the sparse layers compute")
    add("--jit-compile", choices=["auto", "yes", "no"], default="auto", help="compile with XLA")
    add("--run-dir", required=True, help="folder for everything that is learnt")
    add("--resume", action="store_true", help="go on with the run in --run-dir")
    return parser, parser.parse_args()


def main():
    """Train, and print the closing table."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # until there is a step to finish
    parser, arguments = parse()
    chosen = vars(arguments)
    run_dir, resume = chosen.pop("run_dir"), chosen.pop("resume")
    chosen["jit_compile"] = {"auto": "auto", "yes": True, "no": False}[chosen["jit_compile"]]
    # Imported here, so that --help and a mistyped flag answer at once.
    from keras_ssc.training import Settings, closing_table, train
    from keras_ssc.training.run_folder import RunFolderError
    from keras_ssc.training.sigterm import Terminated

    try:
        settings = Settings(**chosen)
    except (TypeError, ValueError) as error:
        parser.error(str(error))
    try:
        results = train(settings, run_dir, resume)
    except KeyboardInterrupt:
        sys.exit(f"\nInterrupted. The same command with --resume goes on with {run_dir}.")
    except Terminated as end:
        print(f"Ended by SIGTERM {end.where}. The same command with --resume goes on.", flush=True)
        raise
    except (RunFolderError, FloatingPointError, ImportError, OSError, ValueError) as error:
        stop(error)
    print(f"\n{closing_table(results)}\n\nEverything is in {run_dir}")


if __name__ == "__main__":
    run(main)
