"""Print the settings of every cell of the paper's tables 1 to 4: asked and reached sparsity.

python applications/paper_settings.py --distribution uniform
python applications/paper_settings.py --distribution per_filter --mixing
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
    parser.add_argument(
        "--mixing",
        action="store_true",
        help="print how many pairs of channels the layers of each stage join",
    )
    arguments = parser.parse_args()
    # Imported here, so that --help answers at once.
    from paper.mixing_table import mixing_table
    from paper.pattern_settings import paper_table

    if arguments.mixing:
        print(mixing_table(distribution=arguments.distribution))
    else:
        print(paper_table(arguments.distribution))


if __name__ == "__main__":
    run(main)
