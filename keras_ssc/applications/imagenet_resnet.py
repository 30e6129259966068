"""ResNets for large images, laid out as in torchvision (v1.5: the 3x3 convolution strides)."""

from keras_ssc.applications._blocks import basic_block, bottleneck_block, stages
from keras_ssc.applications._builder import builder
from keras_ssc.applications._preprocess import preprocess_input as _preprocess


def preprocess_input(x, data_format=None):
    """Return RGB images from 0 to 255 normalised by ImageNet's mean and standard deviation.

    Args:
        x: array or tensor of images.
        data_format: `"channels_last"`, `"channels_first"` or None (Keras's setting).

    Raises:
        ValueError: the data format is unknown.

    Example:

    >>> import numpy as np
    >>> preprocess_input(np.zeros((1, 8, 8, 3))).shape == (1, 8, 8, 3)
    True
    """
    return _preprocess(x, data_format, dataset="imagenet")


def _stem(build, x):
    """7x7 convolution and 3x3 maximum, each of stride 2."""
    x = build.conv_bn_relu(x, "stem", 64, 7, 2, sparse=False)
    return build.max_pool(x, "stem_pool", 3, 2, padding=1)


@builder(input_shape=(224, 224, 3), classes=1000)
def ResNet18(build, x, *, sparse_shortcuts: bool = False):
    """ResNet-18 for ImageNet, at a wanted sparsity.

    | stage | layers | width | stride | map |
    |---|---|---|---|---|
    | stem | 7x7 convolution, 3x3 maximum | 64 | 2, 2 | 56 x 56 |
    | 1, 2, 3, 4 | 2 blocks of two 3x3 convolutions each | 64, 128, 256, 512 | 1, 2, 2, 2 | 7 x 7 |
    | head | average pool, Dense | classes | | |

    The sixteen 3x3 convolutions of the blocks are sparse; stem, shortcuts and classifier stay
    dense.

    Args:
        {arguments}
        sparse_shortcuts: bool, whether the 1x1 convolutions of the shortcuts are sparse too.

    {returns}

    Example:

    >>> model = ResNet18(sparsity=0.75, input_shape=(32, 32, 3))
    >>> round(keras_ssc.summary(model).network_sparsity, 2)
    0.75

    Reference: He et al., 2016; as in torchvision; Verma et al., section 4.1 (its use).
    """
    x = _stem(build, x)
    plan = [(filters, filters, 2) for filters in (64, 128, 256, 512)]
    return stages(build, x, basic_block, 64, plan, sparse_shortcuts=sparse_shortcuts)


@builder(input_shape=(224, 224, 3), classes=1000)
def ResNet50(build, x, *, sparse_shortcuts: bool = True):
    """ResNet-50 for ImageNet, v1.5, at a wanted sparsity.

    | stage | blocks of 1x1, 3x3 and 1x1 convolution | width | stride | map |
    |---|---|---|---|---|
    | stem | (7x7 convolution, 3x3 maximum) | 64 | 2, 2 | 56 x 56 |
    | 1 | 3 | 64, 64, 256 | 1 | 56 x 56 |
    | 2 | 4 | 128, 128, 512 | 2 | 28 x 28 |
    | 3 | 6 | 256, 256, 1024 | 2 | 14 x 14 |
    | 4 | 3 | 512, 512, 2048 | 2 | 7 x 7 |
    | head | average pool, Dense | classes | | |

    All convolutions but the stem are sparse; the classifier stays dense. A 1x1 convolution keeps
    every p-th input channel of a filter (point-wise SSC, g = 0). With a `sparsity`, its p is the
    divisor of its channels that gives about the density of the 3x3 convolutions.

    Args:
        {arguments}
        sparse_shortcuts: bool, whether the 1x1 convolutions of the shortcuts are sparse too.

    {returns}

    Example:

    >>> model = ResNet50(sparsity=0.8, input_shape=(32, 32, 3))
    >>> round(keras_ssc.summary(model).network_sparsity, 2)
    0.8

    Reference: He et al., 2016; as in torchvision; Verma et al., section 4.1 (its use).
    """
    x = _stem(build, x)
    plan = [(64, 256, 3), (128, 512, 4), (256, 1024, 6), (512, 2048, 3)]
    return stages(build, x, bottleneck_block, 64, plan, sparse_shortcuts=sparse_shortcuts)
