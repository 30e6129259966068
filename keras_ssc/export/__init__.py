"""Models written for other runtimes: TensorFlow, LiteRT, ONNX, OpenVINO, and Keras itself."""

from keras_ssc.export.exporting import ExportReport, export

__all__ = ["ExportReport", "export"]
