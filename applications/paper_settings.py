"""Print the settings of every cell of the paper's tables 1 to 4: asked and reached sparsity.

python applications/paper_settings.py --distribution uniform
"""

import argparse
import os

from _program import run

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def main():
    """Read the arguments and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--distribution",
        choices=["uniform", "per_filter"],
        default="uniform",
        help="how a budget of weights is shared over the layers",
    )
    arguments = parser.parse_args()
    # Imported here, so that --help answers at once.
    from paper.pattern_settings import paper_table

    print(paper_table(arguments.distribution))


if __name__ == "__main__":
    run(main)
