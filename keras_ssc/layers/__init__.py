"""Keras layers."""

from keras_ssc.layers.ssc_conv2d import SSCConv2D

__all__ = ["SSCConv2D"]
