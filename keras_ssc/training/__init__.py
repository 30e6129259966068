"""Training a builder's network on an image set with GraSP's recipe."""

from keras_ssc.training.optimizer import CoupledSGD
from keras_ssc.training.results import closing_table
from keras_ssc.training.run import train
from keras_ssc.training.settings import Settings

__all__ = ["CoupledSGD", "Settings", "closing_table", "train"]
