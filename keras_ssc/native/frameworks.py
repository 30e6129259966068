"""What the native library is compiled for: TensorFlow or JAX, with their headers and loaders."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Framework:
    """What the library is compiled for.

    Args:
        name: str, the folder of its binding in `SOURCE`.
        version: str, of what defines its binary interface.
        headers: list of compiler options for the binding.
        link: list of options for the linker.
        open: function (path of the library) -> what calls it.
    """

    name: str
    version: str
    headers: list
    link: list
    open: Callable


def _tensorflow():
    import tensorflow as tf

    headers, link = tf.sysconfig.get_compile_flags(), tf.sysconfig.get_link_flags()
    return Framework("tensorflow", tf.__version__, headers, link, tf.load_op_library)


def _jax():
    import jax
    import jaxlib

    from keras_ssc.native.jax_primitive import open_library

    headers = [f"-I{jax.ffi.include_dir()}"]
    return Framework("jax", jaxlib.__version__, headers, [], open_library)


FRAMEWORKS = {"tensorflow": _tensorflow, "jax": _jax}
