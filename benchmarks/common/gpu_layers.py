"""The layers on which the GPU's kernels are checked and timed."""

from keras_ssc import SSCPattern

# channels, filters, kernel, (g, p), side, stride
EXACT = [
    (64, 64, 3, (8, 7), 14, 1), (64, 64, 3, (8, 3), 9, 1), (128, 128, 3, (8, 4), 7, 1),
    (128, 128, 3, (16, 5), 7, 1), (64, 128, 3, (8, 7), 14, 2), (128, 64, 3, (8, 3), 9, 2),
    (256, 256, 3, (8, 7), 7, 1), (512, 512, 3, (8, 7), 4, 1), (512, 512, 3, (8, 3), 4, 1),
    (32, 32, 3, (8, 7), 16, 1), (64, 64, 3, (8, 7), 56, 1), (16, 24, 5, (4, 3), 11, 1),
    (64, 64, 1, (0, 2), 8, 1), (128, 256, 1, (0, 4), 8, 2), (1024, 256, 1, (0, 4), 7, 1),
]  # fmt: skip
SQUARE = ((64, 56), (128, 28), (256, 14), (512, 7), (64, 32), (128, 16), (256, 8), (512, 4))
TIMED = [
    *((channels, channels, 3, (8, 7), side, 1) for channels, side in SQUARE),
    (64, 128, 3, (8, 7), 56, 2), (128, 256, 3, (8, 7), 28, 2), (256, 512, 3, (8, 7), 14, 2),
    (256, 64, 1, (0, 2), 56, 1), (1024, 256, 1, (0, 4), 14, 1),
    *((channels, channels, 3, (8, 3), side, 1) for channels, side in SQUARE),
    *((channels, channels, 3, (16, 5), side, 1) for channels, side in SQUARE),
]  # fmt: skip


def pattern_of(layer):
    """The SSCPattern of a line of the lists."""
    channels, filters, kernel, (g, p), *_ = layer
    return SSCPattern(channels, filters, kernel, g, p)


def described(layer):
    """The columns that name a layer."""
    channels, filters, kernel, (g, p), side, stride = layer
    return {"channels": channels, "filters": filters, "kernel": kernel, "g": g, "p": p,
            "side": side, "stride": stride}  # fmt: skip
