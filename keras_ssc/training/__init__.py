"""Training a builder's network on an image set with GraSP's recipe."""

from keras_ssc.training.optimizer import CoupledSGD
from keras_ssc.training.run import closing_table, train
from keras_ssc.training.settings import Settings

__all__ = ["CoupledSGD", "Settings", "closing_table", "train"]
