"""Keras callbacks. (Those that prune while training are in `keras_ssc.pruning`.)"""

from keras_ssc.correlation import FilterCorrelation

__all__ = ["FilterCorrelation"]
