"""Builders of the paper's networks. (Programs to run are in the top-level `applications/`.)"""

from keras_ssc.applications.resnet import ResNet32

__all__ = ["ResNet32"]
