"""Training a builder's network on an image set with GraSP's recipe."""

from keras_ssc.training.config import TrainingConfig
from keras_ssc.training.optimizer import CoupledSGD
from keras_ssc.training.results import closing_table
from keras_ssc.training.run import train

__all__ = ["CoupledSGD", "TrainingConfig", "closing_table", "train"]
