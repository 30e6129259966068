"""ShuffleNetV2 with point-wise sparse convolutions."""

from keras_ssc.applications._blocks import separable
from keras_ssc.applications._builder import builder
from keras_ssc.applications._pattern_choice import half_pointwise
from keras_ssc.applications._preprocess import decode_predictions as decode_predictions
from keras_ssc.applications._preprocess import preprocess_input as preprocess_input


@builder(default_setting=half_pointwise, shift="block")
def ShuffleNetV2(build, x, *, fused: bool = False):
    """ShuffleNetV2 x1 with sparse point-wise convolutions; by default the paper's g = 0, p = 2.

    | layers | channels | stride |
    |---|---|---|
    | 3x3 convolution | 24 | 2 (large images), 1 (small) |
    | 3x3 maximum, for large images only | 24 | 2 |
    | 1 + 3, 1 + 7, 1 + 3 units | 116, 232, 464 | 2 for the first unit of each stage |
    | 1x1 convolution | 1024 | 1 |
    | average pool, Dense | classes | |

    A unit leaves one half of the channels alone, takes the other through a 1x1, a depthwise 3x3
    and a 1x1 convolution, and shuffles the halves; a unit of stride 2 takes all channels through
    both branches. Images of up to 64 pixels a side, or of open size, take the form for small
    images (as in kuangliu/pytorch-cifar), larger ones ImageNet's.

    All 1x1 convolutions are sparse; stem, depthwise convolutions and classifier are as they are.
    With neither a sparsity nor g and p, every filter reads every second channel (g = 0, p = 2):
    51.95 % of all parameters are left at 10 classes (52.2 % in table 5 of the paper). The shift is
    `"block"`, which mixes the channels.

    Args:
        {arguments}
        fused: bool. True puts one sparse 3x3 convolution in the place of a depthwise one and the
            1x1 one behind it: with g = M, p = 1 by default, which gives each filter the 3x3 taps
            of one channel and one weight of each other; or with the g and p given.

    {returns}

    Example:

    >>> model = ShuffleNetV2()
    >>> round(model.count_params() / ShuffleNetV2(sparsity=0).count_params(), 3)
    0.526

    Reference: Ma et al., 2018; Verma et al., sections 2.3 and 4.2.
    """
    large = min(build.image_size) > 64
    x = build.conv_bn_relu(x, "stem", 24, 3, 2 if large else 1, sparse=False)
    if large:
        x = build.max_pool(x, "stem_pool", 3, 2, padding=1)
    options = {"fused": fused, "relu": (False, True)}
    for stage, (channels, units) in enumerate(((116, 4), (232, 8), (464, 4)), start=1):
        half = channels // 2
        for number in range(1, units + 1):
            name = f"stage{stage}_unit{number}"
            stride = 2 if number == 1 else 1
            left, right = (x, x) if number == 1 else build.shuffle_split(x, f"{name}_split")
            if number == 1:
                left = separable(build, left, f"{name}_left", half, stride, **options)
            right = build.conv_bn_relu(right, f"{name}_first", half, 1)
            right = separable(build, right, f"{name}_right", half, stride, **options)
            x = build.concatenate(left, right, f"{name}_concatenate")
    return build.conv_bn_relu(x, "last", 1024, 1)
