"""Keras callbacks."""

from keras_ssc.callbacks.filter_correlation import FilterCorrelation

__all__ = ["FilterCorrelation"]
