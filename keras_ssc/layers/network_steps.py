"""Which layers a native network can hold, and the steps that each one is."""

import keras

from keras_ssc.layers.channel_wise import keras_class
from keras_ssc.layers.network_program import AVERAGE_POOL, MAX_POOL, Value
from keras_ssc.layers.shuffle_split import ShuffleSplit
from keras_ssc.layers.ssc_conv2d import SSCConv2D
from keras_ssc.native.convolution import attributes_of

# Of a Dense layer. With 2 million Keras's product was 1.3 (16 images) and 1.6 times (128) as fast
# as ours, with 17 million 2.2 and 1.9 times; with a million or fewer there was no difference.
MOST_DENSE_WEIGHTS = 2**20


def serves(call):
    """Whether a call of a layer can be a part of a native network, by its layer and its shapes.

    Args:
        call: `model_graph.Call`.
    """
    layer = call.layer
    if keras_class(layer) not in _STEPS or layer.compute_dtype != "float32":
        return False
    others = [value for name, value in call.kwargs.items() if name != "residual"]
    if any(value is not None and value is not False for value in others):
        return False  # such as training=True of a Dropout
    able, _ = _STEPS[keras_class(layer)]
    ranks = {len(x.shape) for x in call.inputs}
    known = all(x.shape[-1] is not None for x in [*call.inputs, *call.outputs])
    return known and ranks <= {2, 4} and len(ranks) == 1 and able(layer, call)


def append(program, call, values):
    """Append the steps of a call that `serves`.

    Args:
        program: `NetworkProgram`.
        call: `model_graph.Call`.
        values: list of `Value`, its inputs.

    Returns:
        Value, or list of values.
    """
    return _STEPS[keras_class(call.layer)][1](program, call, *values)


def _channels_last(layer, call):
    return layer.data_format == "channels_last" and len(call.inputs[0].shape) == 4


def _ceiling(activation):
    """What an activation cuts at: None: it does nothing; 0: at zero alone; -1: another one."""
    kinds = {"linear": None, "relu": 0, "relu6": 6}
    return kinds.get(getattr(activation, "__name__", ""), -1)


def _cut(program, value, ceiling):
    return value if ceiling is None else program.relu(value, ceiling)


def _convolution_serves(layer, call):
    plain = getattr(layer, "groups", 1) == 1 and getattr(layer, "depth_multiplier", 1) == 1
    plain = plain and not getattr(layer, "lora_enabled", False) and layer.padding != "causal"
    return _channels_last(layer, call) and plain and _ceiling(layer.activation) != -1


def _convolution(program, call, x, residual=None):
    layer = call.layer
    settings = layer.strides, layer.dilation_rate
    if type(layer) is SSCConv2D:
        attributes = attributes_of(layer.pattern, *settings)
        weights = layer.weights[: len(layer.pattern.matrices)]
    else:
        depthwise = type(layer) is keras.layers.DepthwiseConv2D
        attributes = _dense(layer.kernel_size, *settings, len(x.channels), call, depthwise)
        weights = [layer.kernel]
    bias = layer.bias if layer.use_bias else None
    same = layer.padding == "same"
    made = program.convolution(x, residual, attributes, same, weights, bias)
    return _cut(program, made, _ceiling(layer.activation))


def _dense(kernel_size, strides, dilations, in_channels, call, depthwise):
    """The attributes of a convolution with all taps of all channels, or each of its own channel."""
    filters = call.outputs[0].shape[-1]
    rows, columns = kernel_size
    taps = [side for row in range(rows) for column in range(columns) for side in (row, column)]
    return {
        "kernel_size": kernel_size,
        "kxk": [0] if depthwise else range(in_channels),
        "pointwise": [],
        "taps": taps,
        "tap_counts": [rows * columns],
        "filters": range(filters),
        "filter_counts": [filters],
        "shifts": range(filters) if depthwise else [0] * filters,
        "strides": strides,
        "dilations": dilations,
    }


def _dense_layer_serves(layer, call):
    plain = not getattr(layer, "lora_enabled", False) and layer.quantization_mode is None
    few = layer.units * call.inputs[0].shape[-1] <= MOST_DENSE_WEIGHTS
    return plain and few and _ceiling(layer.activation) != -1


def _dense_layer(program, call, x):
    layer = call.layer
    attributes = _dense((1, 1), (1, 1), (1, 1), len(x.channels), call, False)
    bias = layer.bias if layer.use_bias else None
    made = program.convolution(x, None, attributes, False, [layer._kernel], bias)
    return _cut(program, made, _ceiling(layer.activation))


def _zeros(program, call, x):
    (above, below), (left, right) = call.layer.padding
    more = (above, below, left, right)
    zeros = tuple(a + b for a, b in zip(x.zeros, more, strict=True))
    return Value(x.channels, zeros, x.alone)


def _pool(program, call, x):
    layer = call.layer
    average = keras_class(layer) is keras.layers.AveragePooling2D
    kind = AVERAGE_POOL if average else MAX_POOL
    return program.pool(kind, x, layer.pool_size, layer.strides, layer.padding == "same")


def _relu_serves(layer, call):
    ceiling = layer.max_value
    whole = ceiling is None or (ceiling == int(ceiling) and ceiling > 0)
    return whole and not layer.negative_slope and not layer.threshold


def _join(program, call, *values):
    """Channels of all values, side by side."""
    if any(any(value.zeros) for value in values):
        values = [program.without_zeros(value) for value in values]
    return Value(tuple(pair for value in values for pair in value.channels))


def _join_serves(layer, call):
    rank = len(call.inputs[0].shape)
    return rank == 4 and layer.axis % rank == 3


def _shuffle(program, call, x):
    half = len(x.channels) // 2
    x = program.without_zeros(x)
    mixed = [pair for two in zip(x.channels[:half], x.channels[half:], strict=True) for pair in two]
    return [Value(tuple(mixed[:half])), Value(tuple(mixed[half:]))]


def _flat(program, call, x):
    return x if len(call.inputs[0].shape) == 2 else program.flat(x, call.outputs[0].shape[-1])


def _always(layer, call):
    return True


_STEPS = {
    SSCConv2D: (_convolution_serves, _convolution),
    keras.layers.Conv2D: (_convolution_serves, _convolution),
    keras.layers.DepthwiseConv2D: (_convolution_serves, _convolution),
    keras.layers.Dense: (_dense_layer_serves, _dense_layer),
    keras.layers.ZeroPadding2D: (_channels_last, _zeros),
    keras.layers.MaxPooling2D: (_channels_last, _pool),
    keras.layers.AveragePooling2D: (_channels_last, _pool),
    keras.layers.GlobalAveragePooling2D: (
        _channels_last,
        lambda program, call, x: program.mean(x),
    ),
    keras.layers.ReLU: (
        _relu_serves,
        lambda program, call, x: program.relu(x, int(call.layer.max_value or 0)),
    ),
    keras.layers.Activation: (
        lambda layer, call: _ceiling(layer.activation) != -1,
        lambda program, call, x: _cut(program, x, _ceiling(call.layer.activation)),
    ),
    keras.layers.Add: (
        lambda layer, call: len({x.shape for x in call.inputs}) == 1,
        lambda program, call, *values: program.sum(values),
    ),
    keras.layers.Concatenate: (_join_serves, _join),
    ShuffleSplit: (_channels_last, _shuffle),
    keras.layers.Flatten: (_channels_last, _flat),
    keras.layers.Dropout: (_always, lambda program, call, x: x),
}
