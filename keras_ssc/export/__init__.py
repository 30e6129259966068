"""Models for inference: folded, and written for other runtimes."""

from keras_ssc.export.exporting import ExportReport, export
from keras_ssc.export.fold import fold

__all__ = ["ExportReport", "export", "fold"]
