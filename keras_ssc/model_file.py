"""Saved models read back: whatever is wrong with the file is one error that names it."""

import keras


def read_model(path, **options):
    """Return the model of a `.keras` file; nothing of the file is executed.

    Args:
        path: str or path.
        **options: as for `keras.models.load_model`.

    Raises:
        ValueError: the file is missing, damaged or foreign, or holds what Keras refuses to run,
            such as a Lambda of Python code.

    Example:

    >>> keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save("small.keras")
    >>> read_model("small.keras").output_shape
    (None, 1)
    """
    try:
        return keras.models.load_model(path, **options)
    except Exception as error:
        # Zip, HDF5, JSON and Keras have errors of many kinds, some with pages of words.
        words = " ".join(str(error).split())[:300]
        raise ValueError(
            f"{str(path)!r} can't be read as a saved model: {type(error).__name__}: {words}"
        ) from error
