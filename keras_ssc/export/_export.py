"""Write a model for another runtime, read it back there, compare, and only then keep the file."""

import contextlib
import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from keras_ssc.arguments import boolean, one_of
from keras_ssc.atomic_write import atomic_write
from keras_ssc.export import keras_file, litert, onnx, openvino, tf_saved_model
from keras_ssc.export.files import size
from keras_ssc.export.own_objects import own_scope
from keras_ssc.export.precision import compute_dtypes, in_float32
from keras_ssc.model_graph import ends

FORMATS = {
    "tf_saved_model": tf_saved_model,
    "keras": keras_file,
    "litert": litert,
    "onnx": onnx,
    "openvino": openvino,
}


@dataclass(frozen=True)
class ExportReport:
    """What `export` wrote.

    Attributes:
        path: pathlib.Path of the file or folder.
        format: str.
        bytes: int, on disk.
        largest_difference: float, between the outputs of the file in its runtime and those of the
            model (in float32), relative to the model's largest output.
    """

    path: Path
    format: str
    bytes: int
    largest_difference: float


def export(model, path, format="tf_saved_model", *, overwrite=False, tolerance=1e-4):
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

    Args:
        model: functional or Sequential `keras.Model`, built.
        path: str or pathlib.Path with the format's suffix; its folder exists.
        format: one of the formats above. All but `"keras"` need Keras's TensorFlow backend.
        overwrite: bool, whether a file (or SavedModel) at `path` may be replaced.
        tolerance: float > 0, the largest difference allowed between the outputs of the file and of
            the model on two random inputs, relative to the model's largest output.

    Returns:
        `ExportReport` with path, format, bytes and largest_difference.

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
    form = _check_backend(format)
    boolean("overwrite", overwrite)
    if isinstance(tolerance, bool) or not isinstance(tolerance, (int, float)) or not tolerance > 0:
        raise ValueError(
            f"`tolerance` must be a positive number. Received: tolerance={tolerance!r}"
        )
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"`path` must be a str or a path. Received: path={path!r}")
    path = _check_path(path, form.SUFFIX, overwrite)
    _check_model(model)
    _check_packages(format, form.PACKAGES)
    with own_scope(model), atomic_write(path) as temporary:
        model = in_float32(model)
        inputs = _random_inputs(model)
        expected = model(keras.tree.pack_sequence_as(ends(model)[0], inputs), training=False)
        expected = [keras.ops.convert_to_numpy(output) for output in keras.tree.flatten(expected)]
        with _refusing(model, f"written as {format}"):
            form.write(model, temporary)
        with _refusing(model, f"read back as {format}"):
            found = form.load(temporary)(inputs)
        difference = _largest_difference(found, expected)
        if not difference <= tolerance:  # also for nan
            raise RuntimeError(
                f"The {format} file does not compute what the model computes: outputs differ by "
                f"{difference:.2g} of the largest one, while `tolerance` is {tolerance:.2g}."
            )
        bytes_ = sum(size(file) for file in temporary.parent.iterdir())
    return ExportReport(path, format, bytes_, difference)


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


def _check_backend(format):
    if format != "keras" and keras.backend.backend() != "tensorflow":
        raise ValueError(
            f'format="{format}" needs the TensorFlow backend. Received: the backend '
            f'{keras.backend.backend()!r}; write format="keras", and export that under TensorFlow'
        )
    return FORMATS[format]


def _check_path(path, suffix, overwrite):
    path = Path(path)
    if suffix and path.suffix != suffix:
        raise ValueError(f"`path` must end in {suffix!r}. Received: path={str(path)!r}")
    if not path.parent.is_dir():
        raise ValueError(f"The folder of `path` must exist. Received: path={str(path)!r}")
    if path.exists() and not overwrite:
        raise ValueError(
            f"`path` must not exist, unless overwrite=True. Received: path={str(path)!r}"
        )
    ours = path.is_file() if suffix else (path / "saved_model.pb").is_file()
    if path.exists() and not ours:
        kind = "a file" if suffix else "a SavedModel"
        raise ValueError(f"`path` must be free or {kind}. Received: path={str(path)!r}")
    return path


def _check_model(model):
    if not isinstance(model, keras.Model):
        raise TypeError(f"`model` must be a keras.Model. Received: {model!r}")
    if not isinstance(model, (keras.Sequential, keras.Function)) or not model.built:
        raise ValueError(
            "`model` must be a functional or Sequential model, built. "
            f"Received: {model.name!r} ({type(model).__name__})"
        )


def _check_packages(format, packages):
    for package, extra in packages.items():
        if importlib.util.find_spec(package) is None:
            install = f'"keras-ssc[{extra}]"' if extra else package
            raise ImportError(f'format="{format}" needs {package}: pip install {install}')


def _random_inputs(model):
    """Two random inputs; sizes that the model leaves open are 32."""
    random = np.random.default_rng(0)
    shapes = [(x.shape[0] or 2, *(size or 32 for size in x.shape[1:])) for x in model.inputs]
    return [
        random.normal(size=shape).astype(x.dtype)
        for shape, x in zip(shapes, model.inputs, strict=True)
    ]


def _largest_difference(found, expected):
    """The largest difference of two lists of arrays, relative to the largest expected value."""
    differences = [0.0]
    for ours, theirs in zip(found, expected, strict=True):
        ours, theirs = np.asarray(ours, "float64"), np.asarray(theirs, "float64")
        differences.append(np.abs(ours - theirs).max() / (np.abs(theirs).max() or 1.0))
    return float(np.max(differences))  # of numpy, because it hands on nan
