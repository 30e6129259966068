"""VGG for small images: convolutions with BatchNormalization, one classifier."""

from keras_ssc.applications._builder import builder
from keras_ssc.applications._preprocess import decode_predictions as decode_predictions
from keras_ssc.applications._preprocess import preprocess_input as preprocess_input
from keras_ssc.arguments import integer


def _stages(build, x, numbers, pools):
    """Five stages of `numbers` convolutions, a 2x2 maximum before the next `pools` of them."""
    if integer("pools", pools, 0) > 4:
        raise ValueError(f"`pools` must be at most 4. Received: pools={pools}")
    for stage, (number, filters) in enumerate(
        zip(numbers, (64, 128, 256, 512, 512), strict=True), start=1
    ):
        if 1 < stage <= pools + 1:
            x = build.max_pool(x, f"stage{stage}_pool")
        for layer in range(1, number + 1):
            first = stage == layer == 1
            x = build.conv_bn_relu(x, f"stage{stage}_conv{layer}", filters, sparse=not first)
    return x


@builder()
def VGG19(build, x, *, pools: int = 4):
    """VGG-19 for small images, with BatchNormalization, at a wanted sparsity.

    | stage | 3x3 convolutions | filters | map |
    |---|---|---|---|
    | 1 | 2 | 64 | 32 x 32 |
    | 2 | 2 | 128 | 16 x 16 |
    | 3 | 4 | 256 | 8 x 8 |
    | 4 | 4 | 512 | 4 x 4 |
    | 5 | 4 | 512 | 2 x 2 |
    | head | average pool, Dense | classes | |

    Convolutions have no bias and are followed by BatchNormalization and ReLU; a 2x2 maximum stands
    between two stages. All convolutions but the first are sparse; the classifier stays dense.
    Images need at least 16 x 16 pixels with four maxima. On a map of one pixel eight of nine taps
    read padding only: for images of 16 x 16 take `pools=3`, which leaves the paper's 2 x 2.

    Args:
        {arguments}
        pools: int from 0 to 4, how many 2x2 maxima stand between the stages, from the first on.

    {returns}

    Example:

    >>> model = VGG19(sparsity=0.9, input_shape=(16, 16, 3))
    >>> round(keras_ssc.summary(model).network_sparsity, 3)
    0.9

    Reference: Simonyan and Zisserman, 2015; in this form Wang et al., GraSP; Verma et al.,
    section 4.1 (its use).
    """
    return _stages(build, x, (2, 2, 4, 4, 4), pools)


def _vgg(depth, numbers):
    """Return the builder of `VGG19` with other numbers of convolutions in its stages."""

    def network(build, x, *, pools: int = 4):
        return _stages(build, x, numbers, pools)

    stages = ", ".join(map(str, numbers[:-1])) + f" and {numbers[-1]}"
    network.__name__ = network.__qualname__ = f"VGG{depth}"
    network.__doc__ = f"""VGG-{depth} for small images: `VGG19` with {stages} convolutions a stage.

    Args:
        {{arguments}}
        pools: int from 0 to 4, how many 2x2 maxima stand between the stages, from the first on.

    {{returns}}

    Example:

    >>> model = VGG{depth}(sparsity=0.9, input_shape=(16, 16, 3))
    >>> model.output_shape
    (None, 10)

    Reference: as `VGG19`.
    """
    return builder()(network)


VGG11 = _vgg(11, (1, 1, 2, 2, 2))
VGG13 = _vgg(13, (2, 2, 2, 2, 2))
VGG16 = _vgg(16, (2, 2, 3, 3, 3))
