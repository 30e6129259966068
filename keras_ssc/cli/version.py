"""Print the versions of keras-ssc, Python, Keras and the backends that are installed."""

import importlib.metadata
import platform

PACKAGES = ("keras-ssc", "keras", "numpy", "tensorflow", "jax", "jaxlib")


def add_arguments(parser):
    """Add the arguments of the subcommand: none."""


def run(arguments):
    """Print one line for each package."""
    import keras

    for name in PACKAGES:
        try:
            print(f"{name:<12}{importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            print(f"{name:<12}not installed")
    print(f"{'python':<12}{platform.python_version()}, {platform.platform()}")
    print(f"{'backend':<12}{keras.backend.backend()}")
