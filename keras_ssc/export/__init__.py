"""Models for inference: folded, and written for other runtimes."""

from keras_ssc.export._export import ExportReport, export
from keras_ssc.export._fold import fold
from keras_ssc.export._optimize_for_inference import optimize_for_inference

__all__ = ["ExportReport", "export", "fold", "optimize_for_inference"]
