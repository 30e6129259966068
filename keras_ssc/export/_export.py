"""Write a model for another runtime, read it back there, compare, and only then keep the file."""

import contextlib
from dataclasses import dataclass
from pathlib import Path

from keras_ssc.arguments import boolean, one_of
from keras_ssc.atomic_write import atomic_write
from keras_ssc.export import checks, keras_file, litert, onnx, openvino, tf_saved_model
from keras_ssc.export.comparison import as_function, compare, in_batches, random_inputs
from keras_ssc.export.files import size
from keras_ssc.export.own_objects import own_scope
from keras_ssc.export.precision import compute_dtypes, in_float32

FORMATS = {
    "tf_saved_model": tf_saved_model,
    "keras": keras_file,
    "litert": litert,
    "onnx": onnx,
    "openvino": openvino,
}
LARGEST = 1e-4  # difference of a float32 file
MEAN = 0.05  # difference of a quantized file: one image near a border may differ much


@dataclass(frozen=True)
class ExportReport:
    """What `export` wrote.

    Attributes:
        path: pathlib.Path of the file or folder.
        format: str.
        bytes: int, on disk.
        largest_difference: float, between the outputs of the file in its runtime and those of the
            model (in float32), relative to the model's largest output.
        quantize: None, "float16", "dynamic" or "int8".
        mean_difference: float, the same on average.
        agreement: float, the share of images for which file and model name the same class; None
            where the first output is no vector of scores.
        images: int, how many images were compared.
    """

    path: Path
    format: str
    bytes: int
    largest_difference: float
    quantize: str | None = None
    mean_difference: float = 0.0
    agreement: float | None = None
    images: int = 2

    def __str__(self):
        text = f"{self.path}: {self.bytes:,} bytes"
        if not self.quantize:
            return f"{text}, outputs within {self.largest_difference:.1e} of the model's"
        text += (
            f" ({self.quantize})\nDifference from the float32 model on {self.images} images: "
            f"{self.largest_difference:.1e} of its largest output at most, "
            f"{self.mean_difference:.1e} on average"
        )
        return text if self.agreement is None else f"{text}\nSame class: {self.agreement:.1%}"


def export(
    model,
    path,
    format="tf_saved_model",
    *,
    quantize=None,
    calibration=None,
    overwrite=False,
    tolerance=None,
):
    """Write a model for inference in another runtime, in standard operations only.

    BatchNormalization is folded into the SSCConv2D, Conv2D or DepthwiseConv2D before it. In the
    graph formats an SSC layer becomes a grouped and a point-wise convolution, or a dense one where
    that is faster; the file holds the live weights, which the runtime unpacks when it loads.
    Inputs are named input_0, input_1, ..., outputs output_0, output_1, ...; `serve` of a SavedModel
    takes and returns what the model does, as that of Keras's `model.export`. What the model
    computes in mixed precision, or with weights of 16 bits, the file computes in float32. The file
    is read back by its runtime and compared with the model (in float32) before it gets its name.
    The model stays as it is.

    | format | path | runs with | needs |
    |---|---|---|---|
    | `"tf_saved_model"` | a folder | TensorFlow, TensorFlow Serving | |
    | `"keras"` | `.keras` | Keras, keras_ssc (SSC layers stay) and your own classes | |
    | `"litert"` | `.tflite` | LiteRT | `pip install "keras-ssc[litert]"` |
    | `"onnx"` | `.onnx` | ONNX Runtime | `pip install "keras-ssc[onnx]"` |
    | `"openvino"` | `.xml`, with a `.bin` | OpenVINO | `pip install "keras-ssc[openvino]"` |

    `quantize` makes the file smaller again; inputs and outputs stay float32. `"float16"` (LiteRT)
    stores weights in 16 bits; `"dynamic"` (LiteRT) those of kernels with 1024 weights or more in 8
    bits; `"int8"` (LiteRT; ONNX Runtime's and OpenVINO's own quantizers) weights and activations,
    one scale for each filter, ranges of activations from `calibration`. Zeros of SSC layers are
    not stored in 8 bits either.

    Args:
        model: functional or Sequential `keras.Model`, built.
        path: str or pathlib.Path with the format's suffix; its folder exists.
        format: one of the formats above. All but `"keras"` need Keras's TensorFlow backend.
        quantize: None, `"float16"`, `"dynamic"` or `"int8"`.
        calibration: array (images, height, width, channels), preprocessed as for the model (for
            several inputs a list or dict, as the model takes them); `"int8"` needs it, one to five
            hundred images are enough. File and model are compared on them.
        overwrite: bool, whether a file (or SavedModel) at `path` may be replaced.
        tolerance: float > 0, the difference allowed between the outputs of the file and of the
            model on `calibration` (without it: on two random inputs), relative to the model's
            largest output: the largest one, with `quantize` the mean one. None: 1e-4, with
            `quantize` 0.05.

    Returns:
        `ExportReport` with path, format, bytes, quantize, largest_difference, mean_difference and
        agreement; `print` it.

    Raises:
        TypeError: `model` is no keras.Model.
        ValueError: an argument is outside its range, `path` exists, the model is not functional,
            has a layer that can't be copied or that the format does not know.
        ImportError: a package is missing; the message names the extra to install.
        RuntimeError: the outputs differ by more than `tolerance`. No file is left.

    Example:

    >>> model = keras.Sequential(
    ...     [keras.Input((8, 8, 64)), keras_ssc.SSCConv2D(64, 3, g=8, p=3, padding="same")])
    >>> report = keras_ssc.export(model, "small.keras", format="keras")
    >>> report.path.name, report.largest_difference < 1e-5
    ('small.keras', True)
    """
    format = one_of("format", format, tuple(FORMATS))
    checks.check_backend(format)
    form = FORMATS[format]
    quantize = checks.check_quantize(quantize, format, getattr(form, "QUANTIZE", ()))
    boolean("overwrite", overwrite)
    checks.check_tolerance(tolerance)
    path = checks.check_path(path, form.SUFFIX, overwrite)
    checks.check_model(model)
    packages = form.PACKAGES | (getattr(form, "INT8_PACKAGES", {}) if quantize == "int8" else {})
    checks.check_packages(format, packages, quantize)
    calibration = checks.check_calibration(calibration, quantize, model.inputs)
    options = {"quantize": quantize, "calibration": calibration} if quantize else {}
    with own_scope(model), atomic_write(path) as temporary:
        model = in_float32(model)
        inputs = calibration or random_inputs(model)
        split = in_batches if calibration else lambda run: run
        expected = split(as_function(model))(inputs)
        with _refusing(model, f"written as {format}"):
            form.write(model, temporary, **options)
        with _refusing(model, f"read back as {format}"):
            found = split(form.load(temporary))(inputs)
        compared = compare(found, expected)
        _check_difference(compared, format, quantize, tolerance)
        bytes_ = sum(size(file) for file in temporary.parent.iterdir())
    return ExportReport(
        path,
        format,
        bytes_,
        compared.largest_difference,
        quantize,
        compared.mean_difference,
        compared.agreement,
        len(inputs[0]),
    )


def _check_difference(compared, format, quantize, tolerance):
    limit = tolerance or (MEAN if quantize else LARGEST)
    difference = compared.mean_difference if quantize else compared.largest_difference
    if not difference <= limit:  # also for nan
        average = " on average" if quantize else ""
        raise RuntimeError(
            f"The {format} file does not compute what the model computes: outputs differ by "
            f"{difference:.2g} of the largest one{average}, while `tolerance` is {limit:.2g}."
        )


@contextlib.contextmanager
def _refusing(model, done):
    """Turn what a converter or runtime says into a ValueError, and its pages into a line."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        words = " ".join(str(error).split())
        if len(words) > 400:  # the cause stands at the end, what is concerned at the beginning
            words = f"{words[:200]} ... {words[-200:]}"
        for dtype, layer in compute_dtypes(model).items():
            if dtype != "float32":
                words += f" (Layer {layer!r} computes in {dtype}.)"
        raise ValueError(f"`model` can't be {done}: {words}") from error
