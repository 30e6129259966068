"""Structured Sparse Convolutions for Keras 3: small and fast from the first training step."""

from keras_ssc import (
    applications,
    callbacks,
    datasets,
    initializers,
    layers,
    pruning,
    regularizers,
    training,
)
from keras_ssc.convert import conversion_plan, densify, recalibrate, sparsify
from keras_ssc.export import export, fold
from keras_ssc.layers import SSCConv2D
from keras_ssc.model_plots import plot_correlation, plot_model_sparsity
from keras_ssc.native import portable
from keras_ssc.network_sparsity import choose_network
from keras_ssc.patterns import SSCPattern
from keras_ssc.plots import plot_pattern
from keras_ssc.sparsity import LayerShape, NetworkChoice, choose_pattern
from keras_ssc.summary import summary

__version__ = "0.1.0"

__all__ = [
    "LayerShape",
    "NetworkChoice",
    "SSCConv2D",
    "SSCPattern",
    "applications",
    "callbacks",
    "choose_network",
    "choose_pattern",
    "conversion_plan",
    "datasets",
    "densify",
    "export",
    "fold",
    "initializers",
    "layers",
    "plot_correlation",
    "plot_model_sparsity",
    "plot_pattern",
    "portable",
    "pruning",
    "recalibrate",
    "regularizers",
    "sparsify",
    "summary",
    "training",
]
