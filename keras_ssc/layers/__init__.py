"""Keras layers."""

from keras_ssc.layers.batch_normalization import BatchNormalization
from keras_ssc.layers.ssc_conv2d import SSCConv2D

__all__ = ["BatchNormalization", "SSCConv2D"]
