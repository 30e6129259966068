"""Print what a saved Keras model weighs, layer by layer, beside its dense counterpart."""

import csv


def add_arguments(parser):
    """Add the arguments of the subcommand to an `argparse.ArgumentParser`."""
    add = parser.add_argument
    add("--model", required=True, help="a .keras file")
    add("--csv", help="also write the table to this .csv file")
    add("--picture", help="also draw the weights of the layers to this .png file")
    add("--overwrite", action="store_true", help="replace the files at --csv and --picture")


def run(arguments):
    """Print the table, and write what else was asked for."""
    from keras_ssc._summary import summary
    from keras_ssc.atomic_write import check_new_file, new_file
    from keras_ssc.model_file import read_model
    from keras_ssc.model_plots import plot_model_sparsity

    for suffix, path in {".csv": arguments.csv, ".png": arguments.picture}.items():
        if path:
            check_new_file(path, suffix, arguments.overwrite)
    model = read_model(arguments.model)
    found = summary(model)
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
            plot_model_sparsity(model, temporary)
