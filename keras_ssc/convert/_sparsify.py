"""A dense model made sparse: Conv2D becomes SSCConv2D, all else stays."""

import warnings

import keras

from keras_ssc.arguments import boolean
from keras_ssc.convert.plan import conversion_plan
from keras_ssc.layers import SSCConv2D
from keras_ssc.layers.channel_wise import keeping_class
from keras_ssc.model_copy import copy_graph


def sparsify(
    model,
    sparsity=0.9,
    *,
    keep=None,
    from_dense=False,
    dense=False,
    shift="cyclic",
    parity="halves",
    pattern_for="cpu",
    execution="auto",
):
    """Return a copy of a model whose Conv2D layers are SSCConv2D; the model is not touched.

    Graph, names, shared and nested layers, compile settings and all other weights stay as they
    are. Keras's layers between the convolutions become layers of ours that extend them and compute
    the same: BatchNormalization in fewer passes on a CPU, and all of them, on a GPU under JAX, in
    the order in which the sparse convolutions make their channels. Strides, dilation, padding,
    bias, activation, regularizers and the like are carried over; 1x1 convolutions get g = 0 and a
    p. A SeparableConv2D becomes a DepthwiseConv2D of the same kernel, called NAME_depthwise, and a
    sparse 1x1 layer with its name. Grouped, depthwise and transposed convolutions and layers of
    your own stay; `conversion_plan` names them with what they cost, and what each layer gets.

    Args:
        model: a built functional or Sequential `keras.Model`; models inside it are converted too.
        sparsity: float in (0, 1), the fraction of weights to remove from the kernels of the
            converted layers together. A layer too narrow for it gets its sparsest pattern, wide
            ones make up for it.
        keep: list of names, or function (layer) -> bool: layers that stay dense. None: the first
            convolution and the classifier, which is a last Dense or 1x1 layer with no other
            weights behind it. A `keep` of yours takes the place of that rule.
        from_dense: bool. True: live weights start at the values of the dense kernel, which is
            where fine-tuning begins; BatchNormalization still has the dense model's statistics
            then: call `keras_ssc.recalibrate`, or the accuracy is that of chance for some hundred
            steps. False: they are drawn anew.
        dense: bool. True: Dense layers on maps (batch, height, width, channels), as in ConvNeXt,
            become 1x1 SSCConv2D layers.
        shift, parity: as for `SSCPattern`.
        pattern_for: `"cpu"`, or `"gpu"`: where the widths allow it, patterns that the kernels for
            NVIDIA GPUs compute fastest (docs/gpu.md): one g for all KxK layers, with a p that
            divides g - 1; the share of weights kept may then be a quarter off that of `sparsity`.
        execution: as for `SSCConv2D`.

    Returns:
        `keras.Model`, compiled like `model` if that is.

    Warns:
        UserWarning: the widths of the layers allow no sparsity near the one asked.

    Raises:
        TypeError: `model` is no Keras model, or an argument is of the wrong type.
        ValueError: the model is subclassed, not built, has nothing to convert, or holds a layer
            that its config can't make anew (a Lambda of a Python lambda, for one); or `sparsity`
            can't be reached: the message says what can.

    Example:

    >>> model = keras.Sequential([
    ...     keras.Input((16, 16, 3)), keras.layers.Conv2D(64, 3), keras.layers.Conv2D(64, 3),
    ...     keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(10)])
    >>> sparse = sparsify(model, 0.9)
    >>> [type(layer).__name__ for layer in sparse.layers]
    ['Conv2D', 'SSCConv2D', 'GlobalAveragePooling2D', 'Dense']
    """
    boolean("from_dense", from_dense)
    options = SSCConv2D(1, 1, g=0, p=1, execution=execution).get_config()  # checks `execution`
    rules = {"shift": shift, "parity": parity, "pattern_for": pattern_for}
    plan = conversion_plan(model, sparsity, keep=keep, dense=dense, **rules)
    patterns = {id(one.layer): one.pattern for one in plan.layers if one.pattern}

    def exchange(layer):
        if id(layer) not in patterns:
            return None
        return _sparse_layer(layer, patterns[id(layer)], options)

    if plan.missed:
        warnings.warn(
            f"The converted layers of {model.name!r} have a sparsity of {plan.layer_sparsity:.4f}, "
            f"asked {sparsity}: their widths allow no nearer one. See keras_ssc.conversion_plan",
            stacklevel=2,
        )
    copy, exchanged = copy_graph(model, exchange, keeping_class)
    for old, new in exchanged:
        _copy_weights(old, new, from_dense)
    return copy


def _sparse_layer(layer, pattern, options):
    """An unbuilt SSCConv2D: `options`, over them those of the layer, over them the pattern's.

    Of a SeparableConv2D a list: a DepthwiseConv2D, then the SSCConv2D.
    """
    own = layer.get_config()
    config = {name: value for name, value in own.items() if name in options}
    given = ("filters", "kernel_size", "g", "p", "shift", "parity", "set_offset")
    config |= {name: getattr(pattern, name) for name in given}
    if isinstance(layer, keras.layers.Dense):
        config["data_format"] = "channels_last"
    if not isinstance(layer, keras.layers.SeparableConv2D):
        return SSCConv2D.from_config(options | config)
    config |= {"strides": (1, 1), "dilation_rate": (1, 1), "padding": "valid"}
    for part in ("initializer", "regularizer", "constraint"):
        config[f"kernel_{part}"] = own[f"pointwise_{part}"]
    return [_depthwise(own), SSCConv2D.from_config(options | config)]


def _depthwise(config):
    """An unbuilt DepthwiseConv2D from the config of a SeparableConv2D: its first half."""
    known = keras.layers.DepthwiseConv2D(1).get_config()
    later = ("activation", "activity_regularizer", *(name for name in known if "bias" in name))
    kept = {name: config[name] for name in known if name in config and name not in later}
    kept |= {"name": f"{config['name']}_depthwise", "use_bias": False}
    return keras.layers.DepthwiseConv2D.from_config(kept)


def _copy_weights(old, new, from_dense):
    """Give `new` the bias of `old`, and with `from_dense` the live entries of its kernel."""
    kernel = old.kernel if not isinstance(new, list) else old.pointwise_kernel
    if isinstance(new, list):
        depthwise, new = new
        depthwise.set_weights([keras.ops.convert_to_numpy(old.depthwise_kernel)])
    weights = new.get_weights()
    kernel = keras.ops.convert_to_numpy(kernel).reshape(-1)
    if from_dense:
        for index, (_, positions, filters) in enumerate(new.pattern.matrices):
            weights[index] = kernel[new.pattern.flat_indices(positions, filters)]
    if old.use_bias:
        weights[-1] = keras.ops.convert_to_numpy(old.bias)
    new.set_weights(weights)
