"""Where the native operations can't go: XLA, exported files, other devices.

XLA in TensorFlow could call the kernels as XLA in JAX does (a typed custom call, made by an
XlaOpKernel), but the headers for that include some that no TensorFlow wheel has (highwayhash,
farmhash).

Keras and TensorFlow have no public signal for "this is being compiled by XLA" or "this is being
exported". The two looks below are the one place of the package that uses private names; whatever
they don't find as expected counts as "no native operation here".
"""

import contextlib
import contextvars
import sys

import keras

from keras_ssc.native.build import load

EXPORTERS = (
    "keras.src.export",
    "tensorflow.python.saved_model",
    "tensorflow.lite",
    "tf2onnx",
)
# `tf.function(...).get_concrete_function(...)` makes a graph to look at, freeze or save.
GRAPH_MAKER = ("tensorflow.python.eager.polymorphic_function", "get_concrete_function")

_portable = contextvars.ContextVar("keras_ssc_portable", default=False)


@contextlib.contextmanager
def portable():
    """Compute in TensorFlow's own operations, so that a saved graph needs nothing of keras_ssc.

    `keras_ssc.export`, `model.export`, `tf.saved_model.save`, LiteRT's and ONNX's converters and
    `tf.function(...).get_concrete_function(...)` need no scope: what they trace is portable. But a
    `tf.function` keeps the graph of its first call, and `get_concrete_function` then returns that
    one; saved, it can't be loaded elsewhere: "Op type not registered 'KerasSsc...'". Write the
    scope inside such a function, where it holds for every trace. It changes no number beyond
    rounding, only the speed, and it holds for its thread alone.

    Example:

        def serve(x):
            with keras_ssc.portable():
                return model(x, training=False)

        module.serve = tf.function(serve, input_signature=[tf.TensorSpec((None, 32, 32, 3))])
    """
    token = _portable.set(True)
    try:
        yield
    finally:
        _portable.reset(token)


def why_not_native(pattern, dtype):
    """Return why the native form can't serve here and now, or None where it can.

    Args:
        pattern: SSCPattern.
        dtype: str, of inputs and weights.
    """
    if on_gpu_in_jax():
        from keras_ssc.native.gpu.availability import why_not

        return _why_not_shared_out() or why_not(pattern, dtype)
    if dtype != "float32":
        return f"the native operations compute in float32, not {dtype}"
    if sum(len(filters) for _, _, filters in pattern.matrices) < pattern.filters:
        return "some filters have no weights"
    return why_not_native_operations()


def why_not_native_by_itself(pattern, dtype, strides, sizes, in_order=False):
    """Return why `"auto"` must not take the native form, or None: on a GPU only if measured faster.

    Args:
        pattern, dtype: as for `why_not_native`.
        strides, sizes: (rows, columns).
        in_order: bool, whether the channels of the input are in the order of the GPU's kernels.
    """
    if not on_gpu_in_jax():
        return None
    from keras_ssc.native.gpu.availability import why_not_by_itself

    return why_not_by_itself(pattern, dtype, strides, sizes, in_order)


def on_gpu_in_jax():
    """Whether JAX computes on a GPU here, for which there are kernels of their own."""
    return keras.backend.backend() == "jax" and accelerator() in ("gpu", "cuda")


def why_not_jax_primitives():
    """Return why no primitive of ours can stand in a program of JAX here and now, or None.

    One that has no kernel for the device or the types is computed by JAX's operations.
    """
    return _why_not_shared_out() if keras.backend.backend() == "jax" else "it is not JAX"


def why_not_native_operations():
    """Return why no native operation can be used here and now, or None."""
    here = {"tensorflow": _why_not_on_tensorflow, "jax": _why_not_on_jax}
    return here.get(keras.backend.backend(), lambda: None)() or load()[1]


def _why_not_on_tensorflow():
    import tensorflow as tf

    if _portable.get():
        return "keras_ssc.portable() asks for TensorFlow's own operations"
    if device := accelerator():
        return f"the native operations run on CPU only, and there is a {device}"
    if tf.executing_eagerly():
        return None
    if compiled_by_xla():
        return "XLA can't compile the native operations"
    if _being_exported():
        return "an exported file must not need the native operations"
    return None


def _why_not_on_jax():
    """What is known while a layer is traced; jax_primitive.py knows what a program is made for."""
    if shared := _why_not_shared_out():
        return shared
    device = accelerator()
    return f"the native operations run on CPU only, not on {device}" if device else None


def _why_not_shared_out():
    distribution = keras.distribution.distribution()
    if distribution is not None and distribution.device_mesh.devices.size > 1:
        return "XLA shares only its own operations out to several devices"
    return None


def accelerator():
    """Return the kind of device that computes here, such as "GPU", or None for the CPU."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        kinds = {device.device_type for device in tf.config.list_logical_devices()}
        return min(kinds - {"CPU"}, default=None)
    if keras.backend.backend() == "jax":
        import jax

        chosen = jax.config.jax_default_device or jax.default_backend()
        device = chosen if isinstance(chosen, str) else chosen.platform
        return None if device == "cpu" else device
    return None


def compiled_by_xla():
    """Whether TensorFlow traces the present operations for XLA. True where that is unknown."""
    import tensorflow as tf

    if tf.executing_eagerly():
        return False
    graph = tf.compat.v1.get_default_graph()
    try:
        while graph is not None:
            context = graph._get_control_flow_context()
            while context is not None:
                if context.IsXLAContext():
                    return True
                context = context.outer_context
            graph = getattr(graph, "outer_graph", None)
    except AttributeError:
        return True
    return False


def _being_exported():
    """Whether a function of an exporter is waiting for the present one to return."""
    frame = sys._getframe()
    package, function = GRAPH_MAKER
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module.startswith(EXPORTERS):
            return True
        if module.startswith(package) and frame.f_code.co_name == function:
            return True
        frame = frame.f_back
    return False
