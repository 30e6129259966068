"""Put the weights of a finished training into the package, with a model card.

Of a run of `keras-ssc train`, and of one of the paper's protocol:

python applications/publish_weights.py --run-dir runs/cifar10 --data-dir data
python applications/publish_weights.py --record docs/evidence/records/20823de11077.json \\
    --weights runs/weights/20823de11077.weights.h5 --data-dir data
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
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--run-dir", help="folder of the training")
    source.add_argument("--record", help="KEY.json of a run by the paper's protocol")
    parser.add_argument("--weights", help="its KEY.weights.h5; default: in weights/ beside it")
    parser.add_argument("--data-dir", help="folder of the image set")
    parser.add_argument("--replace", action="store_true", help="of the same network, if there are")
    arguments = parser.parse_args()
    if arguments.weights and not arguments.record:
        parser.error("--weights goes with --record")
    return arguments


def main():
    """Write weights and card, and the table of docs/weights.md; without a run, only the table."""
    arguments = parse()
    # Imported here, so that --help and a mistyped flag answer at once.
    from keras_ssc.applications._pretrained import cards
    from keras_ssc.training.publishing import page, publish

    try:
        card, common = None, {"data_dir": arguments.data_dir, "replace": arguments.replace}
        if arguments.run_dir:
            card = publish(arguments.run_dir, **common)
        elif arguments.record:
            from paper.publishing import publish_record

            card = publish_record(arguments.record, arguments.weights, **common)
        if card:
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
