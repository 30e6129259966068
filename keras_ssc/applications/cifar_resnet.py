"""ResNets for small images, in the double width of GraSP."""

from keras_ssc.applications._blocks import basic_block, stages
from keras_ssc.applications._builder import builder
from keras_ssc.applications._preprocess import decode_predictions as decode_predictions
from keras_ssc.applications._preprocess import preprocess_input as preprocess_input


def _network(build, x, blocks, width, sparse_shortcuts):
    """Stem, and three stages of `blocks` blocks."""
    if isinstance(width, bool) or not isinstance(width, int) or width < 1:
        raise ValueError(f"`width` must be a positive integer. Received: width={width!r}")
    x = build.conv_bn_relu(x, "stem", width, sparse=False)
    plan = [(filters, filters, blocks) for filters in (width, 2 * width, 4 * width)]
    return stages(build, x, basic_block, width, plan, sparse_shortcuts=sparse_shortcuts)


@builder()
def ResNet32(build, x, *, width: int = 32, sparse_shortcuts: bool = False):
    """ResNet-32 for small images, in GraSP's double width, at a wanted sparsity.

    | stage | layers | filters | stride | map |
    |---|---|---|---|---|
    | stem | 3x3 convolution | 32 | 1 | 32 x 32 |
    | 1 | 5 blocks of two 3x3 convolutions | 32 | 1 | 32 x 32 |
    | 2 | 5 blocks | 64 | 2 | 16 x 16 |
    | 3 | 5 blocks | 128 | 2 | 8 x 8 |
    | head | average pool, Dense | classes | | |

    Every convolution is followed by BatchNormalization; a block ends with ReLU after the sum;
    where stride or width changes the shortcut is a 1x1 convolution with BatchNormalization. The
    thirty 3x3 convolutions of the blocks are sparse; stem, shortcuts and classifier stay dense.

    Args:
        {arguments}
        width: int, filters of the stem and of stage 1; 16 gives He et al.'s own width.
        sparse_shortcuts: bool, whether the 1x1 convolutions of the shortcuts are sparse too.

    {returns}

    Example:

    >>> model = ResNet32(sparsity=0.9)
    >>> round(keras_ssc.summary(model).network_sparsity, 3)
    0.9

    Reference: He et al., 2016; in this width Wang et al., GraSP; Verma et al., section 4.1 (its
    use).
    """
    return _network(build, x, 5, width, sparse_shortcuts)


def _resnet(depth, blocks, example):
    """Return the builder of `ResNet32` with another number of blocks a stage."""

    def network(build, x, *, width: int = 32, sparse_shortcuts: bool = False):
        return _network(build, x, blocks, width, sparse_shortcuts)

    network.__name__ = network.__qualname__ = f"ResNet{depth}"
    network.__doc__ = f"""ResNet-{depth} for small images: `ResNet32` with {blocks} blocks a stage.

    Args:
        {{arguments}}
        width: int, filters of the stem and of stage 1; 16 gives He et al.'s own width.
        sparse_shortcuts: bool, whether the 1x1 convolutions of the shortcuts are sparse too.

    {{returns}}

    Example:

    >>> model = ResNet{depth}({example}, input_shape=(8, 8, 3))
    >>> model.output_shape
    (None, 10)

    Reference: as `ResNet32`.
    """
    return builder()(network)


ResNet20 = _resnet(20, 3, "sparsity=0.9")
ResNet44 = _resnet(44, 7, "sparsity=0, width=4")
ResNet56 = _resnet(56, 9, "sparsity=0, width=4")
ResNet110 = _resnet(110, 18, "sparsity=0, width=2")
