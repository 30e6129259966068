"""Train a network of `keras_ssc.applications` at a sparsity, with GraSP's recipe."""

import sys


def add_arguments(parser):
    """Add the arguments of the subcommand to an `argparse.ArgumentParser`."""
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
    add("--run-dir", required=True, help="folder for everything that is learnt")
    add("--resume", action="store_true", help="resume the run in --run-dir")


def run(arguments):
    """Train, and print the closing table."""
    from keras_ssc.training import Settings, closing_table, train

    chosen = dict(vars(arguments))
    run_dir, resume = chosen.pop("run_dir"), chosen.pop("resume")
    try:
        results = train(Settings(**chosen), run_dir, resume)
    except KeyboardInterrupt:
        print(f"\nInterrupted. --resume continues {run_dir}.", file=sys.stderr)
        return 130
    print(f"\n{closing_table(results)}\n\nEverything is in {run_dir}")
    return 0
