"""SSC networks that share their weights out otherwise than a builder does, for `mixing`."""

import keras

from keras_ssc.layers import SSCConv2D
from keras_ssc.model_copy import copy_graph
from keras_ssc.patterns import SSCPattern
from paper.networks import Start, build, filter_norms, ssc_options

TAPS = 4.5  # live taps of a 3x3 kernel, odd and even filters together


def one_kernel(patterns):
    """Return {layer: (g, p)}: one KxK kernel a filter, and as many 1x1 kernels as are left for it.

    Args:
        patterns: {layer: SSCPattern} of the network whose number of weights is kept, in order.

    Example:

    >>> one_kernel({"conv": SSCPattern(64, 64, 3, g=32, p=31)})
    {'conv': (64, 10)}
    """
    chosen = {}
    for name, pattern in patterns.items():
        channels = pattern.in_channels
        chosen[name] = next(
            (channels, p)
            for p in range(1, channels)
            if _weights(pattern, channels, p) <= pattern.weight_count
        )
    return chosen


def sloped(patterns):
    """Return {layer: (g, p)}: weights a filter that fall from layer to layer, in a straight line.

    The first layer has about four times as many as the last one. (Smart ratio, a rule for masks,
    falls more steeply: to less than a weight a filter, which no pattern has.)

    Args:
        patterns: {layer: SSCPattern} of the network whose number of weights is kept, in order.

    Example:

    >>> pattern = SSCPattern(64, 64, 3, g=32, p=31)
    >>> sloped({"first": pattern, "second": pattern, "third": pattern})
    {'first': (32, 7), 'second': (64, 10), 'third': (64, 63)}
    """
    keep = sum(pattern.weight_count for pattern in patterns.values())
    least, most = 0.0, 1000.0
    for _ in range(40):
        middle = (least + most) / 2
        settings = _line(patterns, middle)
        total = sum(_weights(one, *settings[name]) for name, one in patterns.items())
        least, most = (middle, most) if total <= keep else (least, middle)
    return _line(patterns, least)


def _line(patterns, first):
    """{layer: (g, p)} with about `first` weights a filter in the first layer, a quarter at last."""
    last = max(1, len(patterns) - 1)
    return {
        name: _setting(pattern.in_channels, first * (1 - 0.75 * place / last))
        for place, (name, pattern) in enumerate(patterns.items())
    }


def _setting(channels, weights):
    """(g, p) with about so many weights a filter: KxK kernels, a power of 2, the rest 1x1 kernels,
    at least one for each KxK kernel.
    """
    kernels = 1
    while 2 * kernels * (TAPS + 1) <= weights and channels % (2 * kernels) == 0:
        kernels *= 2
    points = max(1, round(weights - TAPS * kernels))
    free = channels - kernels
    return channels // kernels, max(1, free // points) if free else 0


def _weights(pattern, g, p):
    own = (pattern.in_channels, pattern.filters, pattern.kernel_size, g, p)
    return SSCPattern(*own, pattern.shift, pattern.parity).weight_count


def shared_out(rule):
    """Return the method whose SSC network has the patterns of a rule, with equal filter norms.

    It is the network of the setting with other (g, p) in its KxK layers; each layer's filters start
    as large as in that one: behind BatchNormalization their scale is a learning rate.
    """

    def method(setting, data):
        model = build(setting, data.classes, **ssc_options(setting))
        patterns = {
            layer.name: layer.pattern
            for layer in model.layers
            if isinstance(layer, SSCConv2D) and layer.kernel_size != (1, 1)
        }
        chosen, wanted = rule(patterns), filter_norms(model)

        def exchange(layer):
            if layer.name not in chosen:
                return None
            g, p = chosen[layer.name]
            return SSCConv2D.from_config(layer.get_config() | {"g": g, "p": p})

        copy, exchanged = copy_graph(model, exchange)
        own = filter_norms(copy)
        for _, layer in exchanged:
            scale = (wanted[layer.name] / own[layer.name]) ** 0.5
            layer.set_weights([keras.ops.convert_to_numpy(one) * scale for one in layer.weights])
        return Start(copy)

    return method


RULES = {"ssc, one KxK kernel": one_kernel, "ssc, slope": sloped}
