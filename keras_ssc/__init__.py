"""Structured Sparse Convolutions for Keras 3: small and fast from the first training step."""

import keras_ssc.start  # noqa: F401 (first: it imports Keras)
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
from keras_ssc._summary import ModelSummary, summary
from keras_ssc.convert import conversion_plan, densify, recalibrate, sparsify
from keras_ssc.correlation import filter_correlation, layer_correlations
from keras_ssc.export import export, fold, optimize_for_inference
from keras_ssc.layers import SSCConv2D
from keras_ssc.model_plots import plot_correlation, plot_model_sparsity
from keras_ssc.native import portable
from keras_ssc.patterns import SSCPattern
from keras_ssc.plots import plot_pattern
from keras_ssc.sparsity import LayerShape, NetworkChoice, choose_network, choose_pattern
from keras_ssc.sweep_plots import plot_sweep
from keras_ssc.sweeps import pareto, sweep, sweep_table

__version__ = "0.1.0"

__all__ = [
    "LayerShape",
    "ModelSummary",
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
    "filter_correlation",
    "fold",
    "initializers",
    "layer_correlations",
    "layers",
    "optimize_for_inference",
    "pareto",
    "plot_correlation",
    "plot_model_sparsity",
    "plot_pattern",
    "plot_sweep",
    "portable",
    "pruning",
    "recalibrate",
    "regularizers",
    "sparsify",
    "summary",
    "sweep",
    "sweep_table",
    "training",
]
