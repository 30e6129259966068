"""Export a saved `.keras` model for another runtime, and compare the two before the file is kept.

python applications/export.py --model runs/digits/best.keras --format onnx --path network.onnx
python applications/export.py --model runs/digits/best.keras --format litert --path network.tflite \
    --quantize int8 --calibration digits
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
    add("--quantize", help="float16, dynamic or int8; for litert, onnx and openvino")
    add("--calibration", help="images for int8: a .npy or .npz file, or a data set as in train.py")
    add("--data-dir", help="folder of tensorflow-datasets")
    add("--images", type=int, default=256, help="how many of them are used; 256")
    add("--tolerance", type=float, help="difference allowed, relative; 1e-4, quantized 0.05")
    return parser.parse_args()


def main():
    """Load, export, and print what came of it."""
    arguments = parse()
    # Imported here, so that --help and a mistyped flag answer at once.
    import keras_ssc
    from keras_ssc.datasets.calibration import calibration_images
    from keras_ssc.model_file import read_model

    try:
        model = read_model(arguments.model, compile=False)
        images = calibration_images(arguments.calibration, arguments.images, arguments.data_dir)
        report = keras_ssc.export(
            model,
            arguments.path,
            arguments.format,
            quantize=arguments.quantize,
            calibration=images,
            overwrite=arguments.overwrite,
            tolerance=arguments.tolerance,
        )
    except (ImportError, OSError, RuntimeError, TypeError, ValueError) as error:
        stop(error)
    print(report)


if __name__ == "__main__":
    run(main)
