"""Depthwise and point-wise convolution, or one sparse layer in the place of both."""


def separable(build, x, name, filters, strides, *, fused, relu, residual=None):
    """Depthwise 3x3 and 1x1 convolution; or, fused, one 3x3 convolution (section 2.3).

    Args:
        build: `Table` or `Layers`.
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
