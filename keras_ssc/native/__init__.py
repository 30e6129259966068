"""`execution="native"`: our own CPU kernels, as TensorFlow operations compiled on first use."""

from keras_ssc.native.convolution import lanes, native
from keras_ssc.native.where import why_not_native

__all__ = ["lanes", "native", "why_not_native"]
