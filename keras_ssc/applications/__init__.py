"""Builders of the paper's networks. (Programs to run are in the top-level `applications/`.)"""

from keras_ssc.applications.cifar_resnet import ResNet20, ResNet32, ResNet44, ResNet56, ResNet110
from keras_ssc.applications.imagenet_resnet import ResNet18, ResNet50
from keras_ssc.applications.mobilenet_v2 import MobileNetV2
from keras_ssc.applications.shufflenet_v2 import ShuffleNetV2
from keras_ssc.applications.vgg import VGG11, VGG13, VGG16, VGG19

__all__ = [
    "VGG11",
    "VGG13",
    "VGG16",
    "VGG19",
    "MobileNetV2",
    "ResNet18",
    "ResNet20",
    "ResNet32",
    "ResNet44",
    "ResNet50",
    "ResNet56",
    "ResNet110",
    "ShuffleNetV2",
]
