"""Export a saved Keras model for another runtime, compared with the model before it is kept."""


def add_arguments(parser):
    """Add the arguments of the subcommand to an `argparse.ArgumentParser`."""
    add = parser.add_argument
    add("--model", required=True, help="a .keras file")
    add("--format", required=True, help="tf_saved_model, keras, litert, onnx or openvino")
    add("--path", required=True, help="file or folder to write, with the format's suffix")
    add("--overwrite", action="store_true", help="replace what an earlier export wrote there")
    add("--tolerance", type=float, default=1e-4, help="largest difference allowed, relative")


def run(arguments):
    """Load, export, and print what came of it."""
    from keras_ssc.export import export
    from keras_ssc.model_file import read_model

    model = read_model(arguments.model, compile=False)
    report = export(
        model,
        arguments.path,
        arguments.format,
        overwrite=arguments.overwrite,
        tolerance=arguments.tolerance,
    )
    print(
        f"{report.path}: {report.bytes:,} bytes, outputs within "
        f"{report.largest_difference:.1e} of the model's"
    )
