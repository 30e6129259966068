"""Put the weights of a finished training into the package, with a model card.

python applications/publish_weights.py --run-dir runs/cifar10 --data-dir data
"""

import argparse
import os
from pathlib import Path

from _program import run, stop

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

PAGE = Path(__file__).parents[1] / "docs" / "weights.md"
BEGIN, END = "<!-- made by applications/publish_weights.py -->", "<!-- end of what is made -->"


def parse():
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--run-dir", help="folder of the training; without it, only the page")
    parser.add_argument("--data-dir", help="folder of the image set")
    return parser.parse_args()


def main():
    """Write weights and card, and the table of docs/weights.md."""
    arguments = parse()
    # Imported here, so that --help and a mistyped flag answer at once.
    from keras_ssc.applications._pretrained import cards
    from keras_ssc.training.publishing import page, publish

    try:
        if arguments.run_dir:
            card = publish(arguments.run_dir, arguments.data_dir)
            print(f"{card['file']}: {card['test_accuracy']:.2%}, {card['bytes']:,} bytes")
        cards.cache_clear()
        text = PAGE.read_text(encoding="utf-8")
        before, after = text.split(BEGIN)[0], text.split(END)[1]
        made = f"{before}{BEGIN}\n\n{page(cards())}\n\n{END}{after}"
        PAGE.write_text(made, encoding="utf-8")
    except (ImportError, OSError, TypeError, ValueError) as error:
        stop(error)


if __name__ == "__main__":
    run(main)
