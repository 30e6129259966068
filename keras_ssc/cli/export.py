"""Export a saved Keras model for another runtime, compared with the model before it is kept."""


def add_arguments(parser):
    """Add the arguments of the subcommand to an `argparse.ArgumentParser`."""
    add = parser.add_argument
    add("--model", required=True, help="a .keras file")
    add("--format", required=True, help="tf_saved_model, keras, litert, onnx or openvino")
    add("--path", required=True, help="file or folder to write, with the format's suffix")
    add("--overwrite", action="store_true", help="replace what an earlier export wrote there")
    add("--quantize", help="float16, dynamic or int8; for litert, onnx and openvino")
    add(
        "--calibration",
        help="images for int8: a .npy or .npz file, or a folder or data set as in train",
    )
    add("--data-dir", help="folder of tensorflow-datasets")
    add("--images", type=int, default=256, help="how many of them are used; 256")
    add("--tolerance", type=float, help="difference allowed, relative; 1e-4, quantized 0.05")


def run(arguments):
    """Load, export, and print what came of it."""
    from keras_ssc.datasets.calibration import calibration_images
    from keras_ssc.export import export
    from keras_ssc.model_file import read_model

    model = read_model(arguments.model, compile=False)
    shape = model.input_shape
    size = shape[2] if isinstance(shape, tuple) and len(shape) == 4 and shape[2] else 224
    images = calibration_images(arguments.calibration, arguments.images, arguments.data_dir, size)
    report = export(
        model,
        arguments.path,
        arguments.format,
        quantize=arguments.quantize,
        calibration=images,
        overwrite=arguments.overwrite,
        tolerance=arguments.tolerance,
    )
    print(report)
