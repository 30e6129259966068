"""CIFAR ResNets in the double width of GraSP."""

import keras

from keras_ssc.applications._builder import (
    Builder,
    check_builder_arguments,
    choose_settings,
    finish,
)
from keras_ssc.sparsity import LayerShape


def ResNet32(
    *,
    include_top=True,
    weights=None,
    input_tensor=None,
    input_shape=(32, 32, 3),
    pooling=None,
    classes=10,
    classifier_activation="softmax",
    sparsity=None,
    g=None,
    p=None,
    shift="cyclic",
    parity="halves",
    set_offset=0,
    execution="auto",
    data_format=None,
    dtype=None,
    name="resnet32",
):
    """ResNet-32 for small images, in GraSP's double width, at a wanted sparsity.

    | stage | layers | width | stride | map |
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
        include_top: bool, whether the classifier is there.
        weights: None, or the path of a `.weights.h5` file of this network.
        input_tensor: Keras tensor to use as input, or None.
        input_shape: (height, width, channels), or channels first with `data_format`; height and
            width may be None. Images are normalised outside (`keras_ssc.datasets`).
        pooling: None, `"avg"` or `"max"`, where `include_top=False`.
        classes: int.
        classifier_activation: activation of the classifier; None gives logits.
        sparsity: float in [0, 1), the wanted network sparsity: 1 - live / dense weights over all
            Conv2D and Dense kernels. 0 gives the plain dense network. None of `sparsity`, `g` and
            `p` given means 0.9.
        g, p: ints, the same setting for the thirty convolutions, in place of `sparsity`.
        shift, parity, set_offset, execution: as for `SSCConv2D`.
        data_format: `"channels_last"`, `"channels_first"` or None (Keras's setting).
        dtype: dtype or policy of the layers, such as `"mixed_bfloat16"`; the output is float32 at
            least.
        name: str.

    Returns:
        `keras.Model` from (batch, height, width, channels) to (batch, classes).

    Raises:
        ValueError: an argument is outside its range, a sparsity can't be reached, or (g, p) is too
            large for a layer; the message names the argument or the layer.

    Example:

    >>> model = ResNet32(sparsity=0.9)
    >>> round(keras_ssc.summary(model).network_sparsity, 3)
    0.9

    Reference: Wang et al., GraSP (the network); Verma et al., section 4.1 (its use).
    """
    height, width, channels = check_builder_arguments(
        input_shape, classes, pooling, weights, data_format
    )
    stages = ((32, 5), (64, 5), (128, 5))
    shapes = _layer_table(stages, (height or 32, width or 32, channels), classes, include_top)
    settings = choose_settings(shapes, sparsity, g, p, parity)
    rules = {"shift": shift, "parity": parity, "set_offset": set_offset, "execution": execution}
    build = Builder(shapes, settings, data_format, dtype, **rules)
    inputs = keras.Input(shape=tuple(input_shape)) if input_tensor is None else input_tensor
    x = build.relu(build.convolution(inputs, "stem"), "stem_relu")
    for stage, (_, blocks) in enumerate(stages, start=1):
        for block in range(1, blocks + 1):
            x = _block(build, x, f"stage{stage}_block{block}", 2 if stage > 1 == block else 1)
    outputs = build.head(x, include_top, pooling, classes, classifier_activation)
    return finish(inputs, outputs, name, weights)


def _block(build, x, name, strides):
    """Two 3x3 convolutions and the shortcut."""
    shortcut = x
    if f"{name}_shortcut" in build.shapes:
        shortcut = build.convolution(x, f"{name}_shortcut", strides)
    x = build.relu(build.convolution(x, f"{name}_conv1", strides), f"{name}_relu1")
    x = build.convolution(x, f"{name}_conv2")
    return build.relu(build.add(x, shortcut, f"{name}_add"), f"{name}_relu2")


def _layer_table(stages, input_size, classes, include_top):
    """All Conv2D and Dense layers of the network: list of `LayerShape`."""
    height, width, channels = input_size
    filters = stages[0][0]
    table = [LayerShape("stem", channels, filters, (3, 3), (height, width), sparse=False)]
    channels = filters
    for stage, (filters, blocks) in enumerate(stages, start=1):
        if stage > 1:
            height, width = -(-height // 2), -(-width // 2)
        common = {"output_size": (height, width), "stage": stage}
        for block in range(1, blocks + 1):
            name = f"stage{stage}_block{block}"
            table.append(LayerShape(f"{name}_conv1", channels, filters, (3, 3), **common))
            table.append(LayerShape(f"{name}_conv2", filters, filters, (3, 3), **common))
            if channels != filters:
                shape = (channels, filters, (1, 1))
                table.append(LayerShape(f"{name}_shortcut", *shape, sparse=False, **common))
            channels = filters
    if include_top:
        table.append(LayerShape("logits", channels, classes, (1, 1), sparse=False))
    return table
