"""Blocks of residual and separable networks."""


def basic_block(build, x, name, filters, strides, shortcut, *, sparse_shortcuts):
    """Two 3x3 convolutions, added to the block's input.

    Args:
        build: `ShapeRecorder` or `LayerBuilder`.
        x: the map.
        name: str.
        filters: int.
        strides: int, of the first convolution.
        shortcut: bool, whether a 1x1 convolution brings the input to the new shape.
        sparse_shortcuts: bool.
    """
    y = build.conv_bn_relu(x, f"{name}_conv1", filters, 3, strides)
    if shortcut:
        x = _projection(build, x, name, filters, strides, sparse_shortcuts)
    return build.conv_bn_relu(y, f"{name}_conv2", filters, 3, residual=x)


def bottleneck_block(build, x, name, filters, strides, shortcut, *, sparse_shortcuts):
    """1x1, 3x3 (with the stride) and 1x1 convolution to 4 `filters`; else as `basic_block`."""
    y = build.conv_bn_relu(x, f"{name}_conv1", filters, 1)
    y = build.conv_bn_relu(y, f"{name}_conv2", filters, 3, strides)
    if shortcut:
        x = _projection(build, x, name, 4 * filters, strides, sparse_shortcuts)
    return build.conv_bn_relu(y, f"{name}_conv3", 4 * filters, 1, residual=x)


def _projection(build, x, name, filters, strides, sparse):
    options = {"sparse": sparse, "relu": False}
    return build.conv_bn_relu(x, f"{name}_shortcut", filters, 1, strides, **options)


def stages(build, x, block, channels, plan, *, sparse_shortcuts):
    """Stages of blocks; from the second on the first block of a stage has stride 2.

    Args:
        build: `ShapeRecorder` or `LayerBuilder`.
        x: the map.
        block: `basic_block` or `bottleneck_block`.
        channels: int, those of x.
        plan: list of (filters, channels out, number of blocks), one a stage.
        sparse_shortcuts: bool.
    """
    for stage, (filters, channels_out, blocks) in enumerate(plan, start=1):
        for number in range(1, blocks + 1):
            strides = 2 if stage > 1 == number else 1
            shortcut = strides > 1 or channels != channels_out
            name = f"stage{stage}_block{number}"
            x = block(build, x, name, filters, strides, shortcut, sparse_shortcuts=sparse_shortcuts)
            channels = channels_out
    return x


def separable(build, x, name, filters, strides, *, fused, relu, residual=None):
    """Depthwise 3x3 and 1x1 convolution; or, fused, one 3x3 convolution (section 2.3).

    Args:
        build: `ShapeRecorder` or `LayerBuilder`.
        x: the map.
        name: str.
        filters: int, of the second.
        strides: int, of the first.
        fused: bool.
        relu: two bools, whether ReLU follows the first and the second.
        residual: map to be added to the second, or None.
    """
    last = {"relu": relu[1], "residual": residual}
    if fused:
        return build.conv_bn_relu(x, f"{name}_fused", filters, 3, strides, **last)
    x = build.depthwise_bn_relu(x, f"{name}_depthwise", strides, relu=relu[0])
    return build.conv_bn_relu(x, f"{name}_pointwise", filters, 1, **last)
