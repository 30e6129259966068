"""Networks of few convolutions, for tests that train many."""

from keras_ssc.applications._builder import builder


@builder(input_shape=(16, 16, 3))
def Tiny(build, x, *, sparse_shortcuts=False):
    """Three sparse 3x3 convolutions and a shortcut.

    {arguments}

    {returns}
    """
    x = build.conv_bn_relu(x, "stem", 16, 3, 2, sparse=False)
    residual = build.conv_bn_relu(x, "shortcut", 32, 1, 2, sparse=sparse_shortcuts, relu=False)
    x = build.conv_bn_relu(x, "first", 32, 3, 2)
    x = build.conv_bn_relu(x, "second", 32, 3, residual=residual)
    return build.conv_bn_relu(x, "third", 64, 3)


@builder(input_shape=(8, 8, 3))
def Two(build, x):
    """A dense 3x3 convolution and a sparse one.

    {arguments}

    {returns}
    """
    x = build.conv_bn_relu(x, "stem", 8, 3, 2, sparse=False)
    return build.conv_bn_relu(x, "first", 16, 3)
