"""Builders of networks for editors; tests/applications/test_builder_stub.py writes it."""

import os
from collections.abc import Callable

import keras

__all__ = [
    "VGG11",
    "VGG13",
    "VGG16",
    "VGG19",
    "MobileNetV2",
    "ResNet18",
    "ResNet20",
    "ResNet32",
    "ResNet44",
    "ResNet50",
    "ResNet56",
    "ResNet110",
    "ShuffleNetV2",
]

def VGG11(
    *,
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_tensor: keras.KerasTensor | None = None,
    input_shape: tuple[int | None, int | None, int | None] = (32, 32, 3),
    pooling: str | None = None,
    classes: int = 10,
    classifier_activation: str | Callable | None = "softmax",
    sparsity: float | None = None,
    g: int | None = None,
    p: int | None = None,
    distribution: str = "auto",
    mixing: bool = False,
    pattern_for: str = "cpu",
    shift: str = "cyclic",
    parity: str = "halves",
    set_offset: int | str = 0,
    initial_scale: str = "dense",
    execution: str = "auto",
    sparse_classifier: bool = False,
    pools: int = 4,
    data_format: str | None = None,
    dtype: str | keras.DTypePolicy | None = None,
    name: str | None = "vgg11",
) -> keras.Model:
    """VGG-11 for small images: `VGG19` with 1, 1, 2, 2 and 2 convolutions a stage.

    Args:
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
        pools: int from 0 to 4, how many 2x2 maxima stand between the stages, from the first on.

    Returns:
        `keras.Model` from (batch, height, width, channels) to (batch, classes).

    Raises:
        ValueError: an argument is outside its range, a sparsity can't be reached, or (g, p) is too
            large for a layer; the message names the argument or the layer.

    Example:

    >>> model = VGG11(sparsity=0.9, input_shape=(16, 16, 3))
    >>> model.output_shape
    (None, 10)

    Reference: as `VGG19`.
    """

def VGG13(
    *,
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_tensor: keras.KerasTensor | None = None,
    input_shape: tuple[int | None, int | None, int | None] = (32, 32, 3),
    pooling: str | None = None,
    classes: int = 10,
    classifier_activation: str | Callable | None = "softmax",
    sparsity: float | None = None,
    g: int | None = None,
    p: int | None = None,
    distribution: str = "auto",
    mixing: bool = False,
    pattern_for: str = "cpu",
    shift: str = "cyclic",
    parity: str = "halves",
    set_offset: int | str = 0,
    initial_scale: str = "dense",
    execution: str = "auto",
    sparse_classifier: bool = False,
    pools: int = 4,
    data_format: str | None = None,
    dtype: str | keras.DTypePolicy | None = None,
    name: str | None = "vgg13",
) -> keras.Model:
    """VGG-13 for small images: `VGG19` with 2, 2, 2, 2 and 2 convolutions a stage.

    Args:
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
        pools: int from 0 to 4, how many 2x2 maxima stand between the stages, from the first on.

    Returns:
        `keras.Model` from (batch, height, width, channels) to (batch, classes).

    Raises:
        ValueError: an argument is outside its range, a sparsity can't be reached, or (g, p) is too
            large for a layer; the message names the argument or the layer.

    Example:

    >>> model = VGG13(sparsity=0.9, input_shape=(16, 16, 3))
    >>> model.output_shape
    (None, 10)

    Reference: as `VGG19`.
    """

def VGG16(
    *,
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_tensor: keras.KerasTensor | None = None,
    input_shape: tuple[int | None, int | None, int | None] = (32, 32, 3),
    pooling: str | None = None,
    classes: int = 10,
    classifier_activation: str | Callable | None = "softmax",
    sparsity: float | None = None,
    g: int | None = None,
    p: int | None = None,
    distribution: str = "auto",
    mixing: bool = False,
    pattern_for: str = "cpu",
    shift: str = "cyclic",
    parity: str = "halves",
    set_offset: int | str = 0,
    initial_scale: str = "dense",
    execution: str = "auto",
    sparse_classifier: bool = False,
    pools: int = 4,
    data_format: str | None = None,
    dtype: str | keras.DTypePolicy | None = None,
    name: str | None = "vgg16",
) -> keras.Model:
    """VGG-16 for small images: `VGG19` with 2, 2, 3, 3 and 3 convolutions a stage.

    Args:
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
        pools: int from 0 to 4, how many 2x2 maxima stand between the stages, from the first on.

    Returns:
        `keras.Model` from (batch, height, width, channels) to (batch, classes).

    Raises:
        ValueError: an argument is outside its range, a sparsity can't be reached, or (g, p) is too
            large for a layer; the message names the argument or the layer.

    Example:

    >>> model = VGG16(sparsity=0.9, input_shape=(16, 16, 3))
    >>> model.output_shape
    (None, 10)

    Reference: as `VGG19`.
    """

def VGG19(
    *,
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_tensor: keras.KerasTensor | None = None,
    input_shape: tuple[int | None, int | None, int | None] = (32, 32, 3),
    pooling: str | None = None,
    classes: int = 10,
    classifier_activation: str | Callable | None = "softmax",
    sparsity: float | None = None,
    g: int | None = None,
    p: int | None = None,
    distribution: str = "auto",
    mixing: bool = False,
    pattern_for: str = "cpu",
    shift: str = "cyclic",
    parity: str = "halves",
    set_offset: int | str = 0,
    initial_scale: str = "dense",
    execution: str = "auto",
    sparse_classifier: bool = False,
    pools: int = 4,
    data_format: str | None = None,
    dtype: str | keras.DTypePolicy | None = None,
    name: str | None = "vgg19",
) -> keras.Model:
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
        pools: int from 0 to 4, how many 2x2 maxima stand between the stages, from the first on.

    Returns:
        `keras.Model` from (batch, height, width, channels) to (batch, classes).

    Raises:
        ValueError: an argument is outside its range, a sparsity can't be reached, or (g, p) is too
            large for a layer; the message names the argument or the layer.

    Example:

    >>> model = VGG19(sparsity=0.9, input_shape=(16, 16, 3))
    >>> round(keras_ssc.summary(model).network_sparsity, 3)
    0.9

    Reference: Simonyan and Zisserman, 2015; in this form Wang et al., GraSP; Verma et al.,
    section 4.1 (its use).
    """

def MobileNetV2(
    *,
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_tensor: keras.KerasTensor | None = None,
    input_shape: tuple[int | None, int | None, int | None] = (32, 32, 3),
    pooling: str | None = None,
    classes: int = 10,
    classifier_activation: str | Callable | None = "softmax",
    sparsity: float | None = None,
    g: int | None = None,
    p: int | None = None,
    distribution: str = "auto",
    mixing: bool = False,
    pattern_for: str = "cpu",
    shift: str = "block",
    parity: str = "halves",
    set_offset: int | str = 0,
    initial_scale: str = "dense",
    execution: str = "auto",
    sparse_classifier: bool = False,
    fused: bool = False,
    sparse_shortcuts: bool = True,
    data_format: str | None = None,
    dtype: str | keras.DTypePolicy | None = None,
    name: str | None = "mobilenetv2",
) -> keras.Model:
    """MobileNetV2 with sparse point-wise convolutions; by default the paper's g = 0, p = 2.

    | layers | filters | blocks | stride (small images) |
    |---|---|---|---|
    | 3x3 convolution | 32 | | 2 (1) |
    | inverted residuals | 16 | 1 | 1 |
    | " | 24 | 2 | 2 (1) |
    | " | 32, 64 | 3, 4 | 2 |
    | " | 96 | 3 | 1 |
    | " | 160 | 3 | 2 |
    | " | 320 | 1 | 1 |
    | 1x1 convolution | 1280 | | 1 |
    | average pool, Dense | classes | | |

    An inverted residual is a 1x1 convolution to 6 times the channels, a depthwise 3x3 one and a
    1x1 one back, each with BatchNormalization, ReLU after the first two. Images of up to 64 pixels
    a side, or of open size, take the form for small images (as in kuangliu/pytorch-cifar): there
    blocks of stride 1 that change the width have a 1x1 shortcut too, and the first block has its
    own 1x1 convolution. Larger images take ImageNet's form, with ReLU in place of ReLU6.

    All 1x1 convolutions are sparse; stem, depthwise convolutions and classifier are as they are.
    With neither a sparsity nor g and p, every filter reads every second channel (g = 0, p = 2):
    52.46 % of all parameters are left at 10 classes (52.4 % in table 5 of the paper). The shift is
    `"block"`, since the paper's cyclic one splits the network in two that never meet before the
    classifier.

    Args:
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
        fused: bool. True puts one sparse 3x3 convolution in the place of a depthwise one and the
            1x1 one behind it: with g = M, p = 1 by default, which gives each filter the 3x3 taps
            of one channel and one weight of each other; or with the g and p given.
        sparse_shortcuts: bool, whether the 1x1 convolutions of the shortcuts are sparse.

    Returns:
        `keras.Model` from (batch, height, width, channels) to (batch, classes).

    Raises:
        ValueError: an argument is outside its range, a sparsity can't be reached, or (g, p) is too
            large for a layer; the message names the argument or the layer.

    Example:

    >>> model = MobileNetV2()
    >>> round(model.count_params() / MobileNetV2(sparsity=0).count_params(), 3)
    0.532

    Reference: Sandler et al., 2018; Verma et al., sections 2.3 and 4.2.
    """

def ResNet18(
    *,
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_tensor: keras.KerasTensor | None = None,
    input_shape: tuple[int | None, int | None, int | None] = (224, 224, 3),
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | Callable | None = "softmax",
    sparsity: float | None = None,
    g: int | None = None,
    p: int | None = None,
    distribution: str = "auto",
    mixing: bool = False,
    pattern_for: str = "cpu",
    shift: str = "cyclic",
    parity: str = "halves",
    set_offset: int | str = 0,
    initial_scale: str = "dense",
    execution: str = "auto",
    sparse_classifier: bool = False,
    sparse_shortcuts: bool = False,
    data_format: str | None = None,
    dtype: str | keras.DTypePolicy | None = None,
    name: str | None = "resnet18",
) -> keras.Model:
    """ResNet-18 for ImageNet, at a wanted sparsity.

    | stage | layers | width | stride | map |
    |---|---|---|---|---|
    | stem | 7x7 convolution, 3x3 maximum | 64 | 2, 2 | 56 x 56 |
    | 1, 2, 3, 4 | 2 blocks of two 3x3 convolutions each | 64, 128, 256, 512 | 1, 2, 2, 2 | 7 x 7 |
    | head | average pool, Dense | classes | | |

    The sixteen 3x3 convolutions of the blocks are sparse; stem, shortcuts and classifier stay
    dense.

    Args:
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
        sparse_shortcuts: bool, whether the 1x1 convolutions of the shortcuts are sparse too.

    Returns:
        `keras.Model` from (batch, height, width, channels) to (batch, classes).

    Raises:
        ValueError: an argument is outside its range, a sparsity can't be reached, or (g, p) is too
            large for a layer; the message names the argument or the layer.

    Example:

    >>> model = ResNet18(sparsity=0.75, input_shape=(32, 32, 3))
    >>> round(keras_ssc.summary(model).network_sparsity, 2)
    0.75

    Reference: He et al., 2016; as in torchvision; Verma et al., section 4.1 (its use).
    """

def ResNet20(
    *,
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_tensor: keras.KerasTensor | None = None,
    input_shape: tuple[int | None, int | None, int | None] = (32, 32, 3),
    pooling: str | None = None,
    classes: int = 10,
    classifier_activation: str | Callable | None = "softmax",
    sparsity: float | None = None,
    g: int | None = None,
    p: int | None = None,
    distribution: str = "auto",
    mixing: bool = False,
    pattern_for: str = "cpu",
    shift: str = "cyclic",
    parity: str = "halves",
    set_offset: int | str = 0,
    initial_scale: str = "dense",
    execution: str = "auto",
    sparse_classifier: bool = False,
    width: int = 32,
    sparse_shortcuts: bool = False,
    data_format: str | None = None,
    dtype: str | keras.DTypePolicy | None = None,
    name: str | None = "resnet20",
) -> keras.Model:
    """ResNet-20 for small images: `ResNet32` with 3 blocks a stage.

    Args:
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
        width: int, filters of the stem and of stage 1; 16 gives He et al.'s own width.
        sparse_shortcuts: bool, whether the 1x1 convolutions of the shortcuts are sparse too.

    Returns:
        `keras.Model` from (batch, height, width, channels) to (batch, classes).

    Raises:
        ValueError: an argument is outside its range, a sparsity can't be reached, or (g, p) is too
            large for a layer; the message names the argument or the layer.

    Example:

    >>> model = ResNet20(sparsity=0.9, input_shape=(8, 8, 3))
    >>> model.output_shape
    (None, 10)

    Reference: as `ResNet32`.
    """

def ResNet32(
    *,
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_tensor: keras.KerasTensor | None = None,
    input_shape: tuple[int | None, int | None, int | None] = (32, 32, 3),
    pooling: str | None = None,
    classes: int = 10,
    classifier_activation: str | Callable | None = "softmax",
    sparsity: float | None = None,
    g: int | None = None,
    p: int | None = None,
    distribution: str = "auto",
    mixing: bool = False,
    pattern_for: str = "cpu",
    shift: str = "cyclic",
    parity: str = "halves",
    set_offset: int | str = 0,
    initial_scale: str = "dense",
    execution: str = "auto",
    sparse_classifier: bool = False,
    width: int = 32,
    sparse_shortcuts: bool = False,
    data_format: str | None = None,
    dtype: str | keras.DTypePolicy | None = None,
    name: str | None = "resnet32",
) -> keras.Model:
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
        width: int, filters of the stem and of stage 1; 16 gives He et al.'s own width.
        sparse_shortcuts: bool, whether the 1x1 convolutions of the shortcuts are sparse too.

    Returns:
        `keras.Model` from (batch, height, width, channels) to (batch, classes).

    Raises:
        ValueError: an argument is outside its range, a sparsity can't be reached, or (g, p) is too
            large for a layer; the message names the argument or the layer.

    Example:

    >>> model = ResNet32(sparsity=0.9)
    >>> round(keras_ssc.summary(model).network_sparsity, 3)
    0.9

    Reference: He et al., 2016; in this width Wang et al., GraSP; Verma et al., section 4.1 (its
    use).
    """

def ResNet44(
    *,
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_tensor: keras.KerasTensor | None = None,
    input_shape: tuple[int | None, int | None, int | None] = (32, 32, 3),
    pooling: str | None = None,
    classes: int = 10,
    classifier_activation: str | Callable | None = "softmax",
    sparsity: float | None = None,
    g: int | None = None,
    p: int | None = None,
    distribution: str = "auto",
    mixing: bool = False,
    pattern_for: str = "cpu",
    shift: str = "cyclic",
    parity: str = "halves",
    set_offset: int | str = 0,
    initial_scale: str = "dense",
    execution: str = "auto",
    sparse_classifier: bool = False,
    width: int = 32,
    sparse_shortcuts: bool = False,
    data_format: str | None = None,
    dtype: str | keras.DTypePolicy | None = None,
    name: str | None = "resnet44",
) -> keras.Model:
    """ResNet-44 for small images: `ResNet32` with 7 blocks a stage.

    Args:
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
        width: int, filters of the stem and of stage 1; 16 gives He et al.'s own width.
        sparse_shortcuts: bool, whether the 1x1 convolutions of the shortcuts are sparse too.

    Returns:
        `keras.Model` from (batch, height, width, channels) to (batch, classes).

    Raises:
        ValueError: an argument is outside its range, a sparsity can't be reached, or (g, p) is too
            large for a layer; the message names the argument or the layer.

    Example:

    >>> model = ResNet44(sparsity=0, width=4, input_shape=(8, 8, 3))
    >>> model.output_shape
    (None, 10)

    Reference: as `ResNet32`.
    """

def ResNet50(
    *,
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_tensor: keras.KerasTensor | None = None,
    input_shape: tuple[int | None, int | None, int | None] = (224, 224, 3),
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | Callable | None = "softmax",
    sparsity: float | None = None,
    g: int | None = None,
    p: int | None = None,
    distribution: str = "auto",
    mixing: bool = False,
    pattern_for: str = "cpu",
    shift: str = "cyclic",
    parity: str = "halves",
    set_offset: int | str = 0,
    initial_scale: str = "dense",
    execution: str = "auto",
    sparse_classifier: bool = False,
    sparse_shortcuts: bool = True,
    data_format: str | None = None,
    dtype: str | keras.DTypePolicy | None = None,
    name: str | None = "resnet50",
) -> keras.Model:
    """ResNet-50 for ImageNet, v1.5, at a wanted sparsity.

    | stage | blocks of 1x1, 3x3 and 1x1 convolution | width | stride | map |
    |---|---|---|---|---|
    | stem | (7x7 convolution, 3x3 maximum) | 64 | 2, 2 | 56 x 56 |
    | 1 | 3 | 64, 64, 256 | 1 | 56 x 56 |
    | 2 | 4 | 128, 128, 512 | 2 | 28 x 28 |
    | 3 | 6 | 256, 256, 1024 | 2 | 14 x 14 |
    | 4 | 3 | 512, 512, 2048 | 2 | 7 x 7 |
    | head | average pool, Dense | classes | | |

    All convolutions but the stem are sparse; the classifier stays dense. A 1x1 convolution keeps
    every p-th input channel of a filter (point-wise SSC, g = 0). With a `sparsity`, its p is the
    divisor of its channels that gives about the density of the 3x3 convolutions.

    Args:
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
        sparse_shortcuts: bool, whether the 1x1 convolutions of the shortcuts are sparse too.

    Returns:
        `keras.Model` from (batch, height, width, channels) to (batch, classes).

    Raises:
        ValueError: an argument is outside its range, a sparsity can't be reached, or (g, p) is too
            large for a layer; the message names the argument or the layer.

    Example:

    >>> model = ResNet50(sparsity=0.8, input_shape=(32, 32, 3))
    >>> round(keras_ssc.summary(model).network_sparsity, 2)
    0.8

    Reference: He et al., 2016; as in torchvision; Verma et al., section 4.1 (its use).
    """

def ResNet56(
    *,
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_tensor: keras.KerasTensor | None = None,
    input_shape: tuple[int | None, int | None, int | None] = (32, 32, 3),
    pooling: str | None = None,
    classes: int = 10,
    classifier_activation: str | Callable | None = "softmax",
    sparsity: float | None = None,
    g: int | None = None,
    p: int | None = None,
    distribution: str = "auto",
    mixing: bool = False,
    pattern_for: str = "cpu",
    shift: str = "cyclic",
    parity: str = "halves",
    set_offset: int | str = 0,
    initial_scale: str = "dense",
    execution: str = "auto",
    sparse_classifier: bool = False,
    width: int = 32,
    sparse_shortcuts: bool = False,
    data_format: str | None = None,
    dtype: str | keras.DTypePolicy | None = None,
    name: str | None = "resnet56",
) -> keras.Model:
    """ResNet-56 for small images: `ResNet32` with 9 blocks a stage.

    Args:
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
        width: int, filters of the stem and of stage 1; 16 gives He et al.'s own width.
        sparse_shortcuts: bool, whether the 1x1 convolutions of the shortcuts are sparse too.

    Returns:
        `keras.Model` from (batch, height, width, channels) to (batch, classes).

    Raises:
        ValueError: an argument is outside its range, a sparsity can't be reached, or (g, p) is too
            large for a layer; the message names the argument or the layer.

    Example:

    >>> model = ResNet56(sparsity=0, width=4, input_shape=(8, 8, 3))
    >>> model.output_shape
    (None, 10)

    Reference: as `ResNet32`.
    """

def ResNet110(
    *,
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_tensor: keras.KerasTensor | None = None,
    input_shape: tuple[int | None, int | None, int | None] = (32, 32, 3),
    pooling: str | None = None,
    classes: int = 10,
    classifier_activation: str | Callable | None = "softmax",
    sparsity: float | None = None,
    g: int | None = None,
    p: int | None = None,
    distribution: str = "auto",
    mixing: bool = False,
    pattern_for: str = "cpu",
    shift: str = "cyclic",
    parity: str = "halves",
    set_offset: int | str = 0,
    initial_scale: str = "dense",
    execution: str = "auto",
    sparse_classifier: bool = False,
    width: int = 32,
    sparse_shortcuts: bool = False,
    data_format: str | None = None,
    dtype: str | keras.DTypePolicy | None = None,
    name: str | None = "resnet110",
) -> keras.Model:
    """ResNet-110 for small images: `ResNet32` with 18 blocks a stage.

    Args:
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
        width: int, filters of the stem and of stage 1; 16 gives He et al.'s own width.
        sparse_shortcuts: bool, whether the 1x1 convolutions of the shortcuts are sparse too.

    Returns:
        `keras.Model` from (batch, height, width, channels) to (batch, classes).

    Raises:
        ValueError: an argument is outside its range, a sparsity can't be reached, or (g, p) is too
            large for a layer; the message names the argument or the layer.

    Example:

    >>> model = ResNet110(sparsity=0, width=2, input_shape=(8, 8, 3))
    >>> model.output_shape
    (None, 10)

    Reference: as `ResNet32`.
    """

def ShuffleNetV2(
    *,
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_tensor: keras.KerasTensor | None = None,
    input_shape: tuple[int | None, int | None, int | None] = (32, 32, 3),
    pooling: str | None = None,
    classes: int = 10,
    classifier_activation: str | Callable | None = "softmax",
    sparsity: float | None = None,
    g: int | None = None,
    p: int | None = None,
    distribution: str = "auto",
    mixing: bool = False,
    pattern_for: str = "cpu",
    shift: str = "block",
    parity: str = "halves",
    set_offset: int | str = 0,
    initial_scale: str = "dense",
    execution: str = "auto",
    sparse_classifier: bool = False,
    fused: bool = False,
    data_format: str | None = None,
    dtype: str | keras.DTypePolicy | None = None,
    name: str | None = "shufflenetv2",
) -> keras.Model:
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
        fused: bool. True puts one sparse 3x3 convolution in the place of a depthwise one and the
            1x1 one behind it: with g = M, p = 1 by default, which gives each filter the 3x3 taps
            of one channel and one weight of each other; or with the g and p given.

    Returns:
        `keras.Model` from (batch, height, width, channels) to (batch, classes).

    Raises:
        ValueError: an argument is outside its range, a sparsity can't be reached, or (g, p) is too
            large for a layer; the message names the argument or the layer.

    Example:

    >>> model = ShuffleNetV2()
    >>> round(model.count_params() / ShuffleNetV2(sparsity=0).count_params(), 3)
    0.526

    Reference: Ma et al., 2018; Verma et al., sections 2.3 and 4.2.
    """
