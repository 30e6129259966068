"""ResNets for small images, in the double width of GraSP."""

from keras_ssc.applications._builder import builder
from keras_ssc.applications._preprocess import decode_predictions as decode_predictions
from keras_ssc.applications._preprocess import preprocess_input as preprocess_input
from keras_ssc.applications._residual import basic_block, stages


def _network(build, x, blocks, width, sparse_shortcuts):
    """Stem, and three stages of `blocks` blocks."""
    if isinstance(width, bool) or not isinstance(width, int) or width < 1:
        raise ValueError(f"`width` must be a positive integer. Received: width={width!r}")
    x = build.conv_bn_relu(x, "stem", width, sparse=False)
    plan = [(filters, filters, blocks) for filters in (width, 2 * width, 4 * width)]
    return stages(build, x, basic_block, width, plan, sparse_shortcuts=sparse_shortcuts)


@builder()
def ResNet20(build, x, *, width=32, sparse_shortcuts=False):
    """ResNet-20 for small images: `ResNet32` with 3 blocks a stage.

    Args:
        {arguments}
        width: int, filters of the stem and of stage 1; 16 gives He et al.'s own width.
        sparse_shortcuts: bool, whether the 1x1 convolutions of the shortcuts are sparse too.

    {returns}

    Example:

    >>> model = ResNet20(sparsity=0.9, input_shape=(8, 8, 3))
    >>> model.output_shape
    (None, 10)

    Reference: as `ResNet32`.
    """
    return _network(build, x, 3, width, sparse_shortcuts)


@builder()
def ResNet32(build, x, *, width=32, sparse_shortcuts=False):
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


@builder()
def ResNet44(build, x, *, width=32, sparse_shortcuts=False):
    """ResNet-44 for small images: `ResNet32` with 7 blocks a stage.

    Args:
        {arguments}
        width: int, filters of the stem and of stage 1; 16 gives He et al.'s own width.
        sparse_shortcuts: bool, whether the 1x1 convolutions of the shortcuts are sparse too.

    {returns}

    Example:

    >>> model = ResNet44(sparsity=0, width=4, input_shape=(8, 8, 3))
    >>> model.output_shape
    (None, 10)

    Reference: as `ResNet32`.
    """
    return _network(build, x, 7, width, sparse_shortcuts)


@builder()
def ResNet56(build, x, *, width=32, sparse_shortcuts=False):
    """ResNet-56 for small images: `ResNet32` with 9 blocks a stage.

    Args:
        {arguments}
        width: int, filters of the stem and of stage 1; 16 gives He et al.'s own width.
        sparse_shortcuts: bool, whether the 1x1 convolutions of the shortcuts are sparse too.

    {returns}

    Example:

    >>> model = ResNet56(sparsity=0, width=4, input_shape=(8, 8, 3))
    >>> model.output_shape
    (None, 10)

    Reference: as `ResNet32`.
    """
    return _network(build, x, 9, width, sparse_shortcuts)


@builder()
def ResNet110(build, x, *, width=32, sparse_shortcuts=False):
    """ResNet-110 for small images: `ResNet32` with 18 blocks a stage.

    Args:
        {arguments}
        width: int, filters of the stem and of stage 1; 16 gives He et al.'s own width.
        sparse_shortcuts: bool, whether the 1x1 convolutions of the shortcuts are sparse too.

    {returns}

    Example:

    >>> model = ResNet110(sparsity=0, width=2, input_shape=(8, 8, 3))
    >>> model.output_shape
    (None, 10)

    Reference: as `ResNet32`.
    """
    return _network(build, x, 18, width, sparse_shortcuts)
