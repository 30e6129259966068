"""Models for inference: folded, and written for other runtimes."""

from keras_ssc.export._export import ExportReport, export
from keras_ssc.export._fold import fold

__all__ = ["ExportReport", "export", "fold"]
