"""MobileNetV2 with point-wise sparse convolutions."""

from keras_ssc.applications._blocks import separable
from keras_ssc.applications._builder import builder
from keras_ssc.applications._pattern_choice import half_pointwise
from keras_ssc.applications._preprocess import decode_predictions as decode_predictions
from keras_ssc.applications._preprocess import preprocess_input as preprocess_input

# Expansion, filters, blocks, stride of the first block.
PLAN = (
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2),
    (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
)  # fmt: skip


@builder(default_setting=half_pointwise, shift="block")
def MobileNetV2(build, x, *, fused: bool = False, sparse_shortcuts: bool = True):
    """MobileNetV2 with sparse point-wise convolutions; by default the paper's g = 0, p = 2.

    | layers | filters | blocks | stride (small images) |
    |---|---|---|---|
    | 3x3 convolution | 32 | | 2 (1) |
    | inverted residuals | 16 | 1 | 1 |
    | " | 24 | 2 | 2 (1) |
    | " | 32, 64 | 3, 4 | 2 |
    | " | 96 | 3 | 1 |
    | " | 160 | 3 | 2 |
    | " | 320 | 1 | 1 |
    | 1x1 convolution | 1280 | | 1 |
    | average pool, Dense | classes | | |

    An inverted residual is a 1x1 convolution to 6 times the channels, a depthwise 3x3 one and a
    1x1 one back, each with BatchNormalization, ReLU after the first two. Images of up to 64 pixels
    a side, or of open size, take the form for small images (as in kuangliu/pytorch-cifar): there
    blocks of stride 1 that change the width have a 1x1 shortcut too, and the first block has its
    own 1x1 convolution. Larger images take ImageNet's form, with ReLU in place of ReLU6.

    All 1x1 convolutions are sparse; stem, depthwise convolutions and classifier are as they are.
    With neither a sparsity nor g and p, every filter reads every second channel (g = 0, p = 2):
    52.46 % of all parameters are left at 10 classes (52.4 % in table 5 of the paper). The shift is
    `"block"`, since the paper's cyclic one splits the network in two that never meet before the
    classifier.

    Args:
        {arguments}
        fused: bool. True puts one sparse 3x3 convolution in the place of a depthwise one and the
            1x1 one behind it: with g = M, p = 1 by default, which gives each filter the 3x3 taps
            of one channel and one weight of each other; or with the g and p given.
        sparse_shortcuts: bool, whether the 1x1 convolutions of the shortcuts are sparse.

    {returns}

    Example:

    >>> model = MobileNetV2()
    >>> round(model.count_params() / MobileNetV2(sparsity=0).count_params(), 3)
    0.532

    Reference: Sandler et al., 2018; Verma et al., sections 2.3 and 4.2.
    """
    large = min(build.image_size) > 64
    x = build.conv_bn_relu(x, "stem", 32, 3, 2 if large else 1, sparse=False)
    channels = 32
    for stage, (expansion, filters, blocks, strides) in enumerate(PLAN, start=1):
        for number in range(1, blocks + 1):
            stride = 1 if number > 1 or (stage == 2 and not large) else strides
            name = f"stage{stage}_block{number}"
            residual = None
            if stride == 1 and channels == filters:
                residual = x
            elif stride == 1 and not large:
                options = {"sparse": sparse_shortcuts, "relu": False}
                residual = build.conv_bn_relu(x, f"{name}_shortcut", filters, 1, **options)
            if expansion > 1 or not large:
                x = build.conv_bn_relu(x, f"{name}_expand", expansion * channels, 1)
            options = {"fused": fused, "relu": (True, False), "residual": residual}
            x = separable(build, x, name, filters, stride, **options)
            channels = filters
    return build.conv_bn_relu(x, "last", 1280, 1)
