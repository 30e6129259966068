"""`execution="native"`: our own kernels, compiled on first use: on CPU for TensorFlow or for JAX,
on a GPU for JAX."""

from keras_ssc.native.availability import (
    accelerator,
    compiled_by_xla,
    portable,
    why_not_jax_primitives,
    why_not_native,
    why_not_native_by_itself,
    why_not_native_operations,
)
from keras_ssc.native.convolution import native
from keras_ssc.native.normalization import batch_norm, normalize

__all__ = [
    "accelerator",
    "batch_norm",
    "compiled_by_xla",
    "native",
    "normalize",
    "portable",
    "why_not_jax_primitives",
    "why_not_native",
    "why_not_native_by_itself",
    "why_not_native_operations",
]
