"""The arguments that all builders share, checked, and what their docstrings say of them."""

import os

from keras_ssc.applications._pretrained import CLASSES
from keras_ssc.arguments import integer

ARGUMENTS = """
    include_top: bool, whether the classifier is there.
    weights: None; the path of a `.weights.h5` file of this network; or `"cifar10"`, weights that
        were trained on it, where there are some (docs/weights.md): images are prepared by
        `preprocess_input`, and `classes` is that of the image set.
    input_tensor: Keras tensor to use as input, or None.
    input_shape: (height, width, channels), or channels first with `data_format`; height and width
        may be None. Images are normalised outside: `preprocess_input` of the builder's module.
    pooling: None, `"avg"` or `"max"`, where `include_top=False`.
    classes: int.
    classifier_activation: activation of the classifier; None gives logits.
    sparsity: float in [0, 1), the wanted network sparsity: 1 - live / dense weights over all Conv
        and Dense kernels. 0 gives the plain dense network.
    g, p: ints, one setting for all sparse layers, in place of `sparsity`. A sparse 1x1 layer takes
        g = 0 and this p; it stays dense where p is 0.
    distribution: how `sparsity` is shared: `"uniform"`, one target for all sparse layers, as in
        the paper; `"per_filter"`, equally many weights for each filter of every sparse layer; or
        `"auto"`: per filter from a sparsity of 0.98 on, where it learned better, uniform below.
    mixing: bool. True: where other p leave as many weights, the one with which the sparse layers
        join the most channels, at `sparsity` (`keras_ssc.sparsity.stage_mixing`); in short runs
        the network learned no better by it (docs/evidence, mixing).
    pattern_for: `"cpu"`, or `"gpu"`: patterns that the kernels for NVIDIA GPUs compute fastest
        (docs/gpu.md); the share of weights kept may then be a quarter off that of `sparsity`.
    shift, parity, set_offset, execution: as for `SSCConv2D`; with `set_offset="butterfly"` the
        offset is 1, 2, 4, ... from one sparse layer to the next, which mixes the channels, and
        learned worse in short runs at 98 %.
    initial_scale: `"dense"`, initial weights of the sparse layers as large as the dense layer's,
        std = sqrt(2 / (K K N)), which learns faster (docs/evidence); or `"live"`, divided by
        sqrt(density), the fan that is really there.
    sparse_classifier: bool. True makes the classifier sparse too: a 1x1 `SSCConv2D` on the pooled
        map.
    data_format: `"channels_last"`, `"channels_first"` or None (Keras's setting).
    dtype: dtype or policy of the layers, such as `"mixed_bfloat16"`; the output is float32 at
        least.
    name: str.
""".strip("\n")
RETURNS = """
Returns:
    `keras.Model` from (batch, height, width, channels) to (batch, classes).

Raises:
    ValueError: an argument is outside its range, a sparsity can't be reached, or (g, p) is too
        large for a layer; the message names the argument or the layer.
""".strip("\n")


def check_arguments(input_shape, classes, weights, data_format, include_top):
    """Return (height, width, channels) of the input; refuse what can't be built.

    Args:
        input_shape: (height, width, channels), or (channels, height, width) for channels_first.
        classes: int >= 1.
        weights: None, the path of a file, or the name of an image set.
        data_format: `"channels_last"` or `"channels_first"`.
        include_top: bool.
    """
    sizes = tuple(input_shape) if isinstance(input_shape, (tuple, list)) else ()
    if len(sizes) != 3 or not all(
        size is None or (isinstance(size, int) and not isinstance(size, bool) and size > 0)
        for size in sizes
    ):
        raise ValueError(
            "`input_shape` must be three positive integers, such as (32, 32, 3). "
            f"Received: input_shape={input_shape!r}"
        )
    if data_format == "channels_first":
        sizes = (*sizes[1:], sizes[0])
    if sizes[-1] is None:
        raise ValueError(
            f"`input_shape` must name the channels. Received: input_shape={input_shape!r}"
        )
    integer("classes", classes, 1)
    if not isinstance(weights, (str, os.PathLike, type(None))):
        raise TypeError(f"`weights` must be None or a path. Received: weights={weights!r}")
    if weights in CLASSES:
        if include_top and classes != CLASSES[weights]:
            raise ValueError(
                f"`classes` must be {CLASSES[weights]} with `weights={weights!r}`, unless "
                f"`include_top=False`. Received: classes={classes}"
            )
    elif weights is not None and not os.path.isfile(os.fspath(weights)):
        raise ValueError(
            f"`weights` must be None, {' or '.join(map(repr, CLASSES))}, or an existing file. "
            f"No such file: weights={str(weights)!r}"
        )
    return sizes
