"""`execution="native"`: our own CPU kernels, compiled on first use for TensorFlow or for JAX."""

from keras_ssc.native.availability import (
    accelerator,
    compiled_by_xla,
    portable,
    why_not_native,
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
    "why_not_native",
    "why_not_native_operations",
]
