"""`execution="native"`: our own CPU kernels, compiled on first use for TensorFlow or for JAX."""

from keras_ssc.native.convolution import lanes, native
from keras_ssc.native.normalization import batch_norm, normalized_convolution, scale_shift
from keras_ssc.native.where import (
    compiled_by_xla,
    why_not_native,
    why_not_native_operations,
)

__all__ = [
    "batch_norm",
    "compiled_by_xla",
    "lanes",
    "native",
    "normalized_convolution",
    "scale_shift",
    "why_not_native",
    "why_not_native_operations",
]
