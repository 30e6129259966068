"""The arguments of `export`, each refused by name where it does not fit."""

import importlib.util
import os
from pathlib import Path

import keras
import numpy as np

from keras_ssc.arguments import one_of

QUANTIZE = ("float16", "dynamic", "int8")


def check_backend(format):
    """Refuse a format that another backend than Keras's can't write."""
    if format != "keras" and keras.backend.backend() != "tensorflow":
        raise ValueError(
            f'format="{format}" needs the TensorFlow backend. Received: the backend '
            f'{keras.backend.backend()!r}; write format="keras", and export that under TensorFlow'
        )


def check_path(path, suffix, overwrite):
    """Return `path` as a pathlib.Path, if a file may be written there."""
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"`path` must be a str or a path. Received: path={path!r}")
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


def check_model(model):
    """Refuse what is no functional or Sequential model with weights."""
    if not isinstance(model, keras.Model):
        raise TypeError(f"`model` must be a keras.Model. Received: {model!r}")
    if not isinstance(model, (keras.Sequential, keras.Function)) or not model.built:
        raise ValueError(
            "`model` must be a functional or Sequential model, built. "
            f"Received: {model.name!r} ({type(model).__name__})"
        )


def check_packages(format, packages, quantize):
    """Refuse a format whose packages are not there; name the extra."""
    for package, extra in packages.items():
        if importlib.util.find_spec(package) is None:
            install = f'"keras-ssc[{extra}]"' if extra else package
            what = f', quantize="{quantize}"' if quantize else ""
            raise ImportError(f'format="{format}"{what} needs {package}: pip install {install}')


def check_tolerance(tolerance):
    """Refuse a `tolerance` that is no positive number and not None."""
    if tolerance is None:
        return
    if isinstance(tolerance, bool) or not isinstance(tolerance, (int, float)) or not tolerance > 0:
        raise ValueError(
            f"`tolerance` must be a positive number. Received: tolerance={tolerance!r}"
        )


def check_quantize(quantize, format, known):
    """Return `quantize`, one of those that the format knows, or None."""
    if quantize is None:
        return None
    quantize = one_of("quantize", quantize, QUANTIZE)
    if not known:
        raise ValueError(
            f'`quantize` goes with format="litert", "onnx" or "openvino". Received: '
            f'quantize="{quantize}", format="{format}"'
        )
    if quantize not in known:
        raise ValueError(
            f'`quantize` must be one of {known} for format="{format}"; "litert" knows all of '
            f'{QUANTIZE}. Received: quantize="{quantize}"'
        )
    return quantize


def check_calibration(calibration, quantize, inputs):
    """Return `calibration` as a list of arrays, one for each input; None where there is none.

    Args:
        calibration: array, or list or dict of arrays in the structure of the model's inputs.
        quantize: str or None.
        inputs: list of the model's input tensors.
    """
    if calibration is None:
        if quantize == "int8":
            raise ValueError(
                '`calibration` must be images as the model takes them, for quantize="int8"; a '
                "hundred to five hundred are enough. Received: calibration=None"
            )
        return None
    arrays = [np.asarray(one) for one in keras.tree.flatten(calibration)]
    wanted = [tuple(x.shape[1:]) for x in inputs]
    if len(arrays) != len(inputs) or len({len(one) if one.ndim else 0 for one in arrays}) != 1:
        raise ValueError(
            f"`calibration` must be {len(inputs)} array(s) with equally many images. "
            f"Received: {[one.shape for one in arrays]}"
        )
    fits = all(_fits(array.shape[1:], shape) for array, shape in zip(arrays, wanted, strict=True))
    if not fits or not len(arrays[0]):
        raise ValueError(
            f"`calibration` must have the shape(s) {[('images', *shape) for shape in wanted]}. "
            f"Received: {[one.shape for one in arrays]}"
        )
    if not all(np.issubdtype(one.dtype, np.number) and np.isfinite(one).all() for one in arrays):
        raise ValueError("`calibration` must be finite numbers. Received: others among them")
    return [array.astype(x.dtype) for array, x in zip(arrays, inputs, strict=True)]


def _fits(shape, wanted):
    same = all(ours in (None, side) for side, ours in zip(shape, wanted, strict=False))
    return len(shape) == len(wanted) and same
