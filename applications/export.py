"""Export a saved `.keras` model for another runtime, and compare the two before the file is kept.

python applications/export.py --model runs/digits/best.keras --format onnx --path network.onnx
"""

import argparse
import os

from _program import run, stop

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")


def parse():
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--model", required=True, help="a .keras file")
    add("--format", required=True, help="tf_saved_model, keras, litert, onnx or openvino")
    add("--path", required=True, help="file or folder to write, with the format's suffix")
    add("--overwrite", action="store_true", help="replace what an earlier export wrote there")
    add("--tolerance", type=float, default=1e-4, help="largest difference allowed, relative")
    return parser.parse_args()


def main():
    """Load, export, and print what came of it."""
    arguments = parse()
    # Imported here, so that --help and a mistyped flag answer at once.
    import keras_ssc
    from keras_ssc.model_file import read_model

    try:
        model = read_model(arguments.model, compile=False)
        report = keras_ssc.export(
            model,
            arguments.path,
            arguments.format,
            overwrite=arguments.overwrite,
            tolerance=arguments.tolerance,
        )
    except (ImportError, OSError, RuntimeError, TypeError, ValueError) as error:
        stop(error)
    print(
        f"{report.path}: {report.bytes:,} bytes, outputs within "
        f"{report.largest_difference:.1e} of the model's"
    )


if __name__ == "__main__":
    run(main)
