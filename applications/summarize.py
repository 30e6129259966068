"""Print what a saved Keras model weighs, layer by layer, beside its dense counterpart.

python applications/summarize.py --model sparse.keras --csv layers.csv --picture layers.png
"""

import argparse
import csv
import os

from _program import run, stop

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def parse():
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--model", required=True, help="a .keras file")
    add("--csv", help="also write the table to this .csv file")
    add("--picture", help="also draw the weights of the layers to this .png file")
    add("--overwrite", action="store_true", help="replace the files at --csv and --picture")
    return parser.parse_args()


def main():
    """Print the table, and write what else was asked for."""
    arguments = parse()
    # Imported here, so that --help and a mistyped flag answer at once.
    import keras_ssc
    from keras_ssc.atomic_write import check_new_file, new_file
    from keras_ssc.model_file import read_model

    outputs = {".csv": arguments.csv, ".png": arguments.picture}
    try:
        for suffix, path in outputs.items():
            if path:
                check_new_file(path, suffix, arguments.overwrite)
        model = read_model(arguments.model)
        found = keras_ssc.summary(model)
        print(found)
        if arguments.csv:
            with (
                new_file(arguments.csv, ".csv", arguments.overwrite) as temporary,
                open(temporary, "w", newline="") as file,
            ):
                writer = csv.DictWriter(file, found.rows[0] if found.rows else [])
                writer.writeheader()
                writer.writerows(found.rows)
        if arguments.picture:
            with new_file(arguments.picture, ".png", arguments.overwrite) as temporary:
                keras_ssc.plot_model_sparsity(model, temporary)
    except (ImportError, OSError, TypeError, ValueError) as error:
        stop(error)


if __name__ == "__main__":
    run(main)
