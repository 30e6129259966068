"""Keras layers."""

from keras_ssc.layers.batch_normalization import FusedBatchNormalization
from keras_ssc.layers.inference_network import InferenceNetwork
from keras_ssc.layers.masked import (
    InterspaceConv2D,
    MaskedConv2D,
    MaskedDense,
    MaskedDepthwiseConv2D,
)
from keras_ssc.layers.ssc_conv2d import SSCConv2D

__all__ = [
    "FusedBatchNormalization",
    "InferenceNetwork",
    "InterspaceConv2D",
    "MaskedConv2D",
    "MaskedDense",
    "MaskedDepthwiseConv2D",
    "SSCConv2D",
]
