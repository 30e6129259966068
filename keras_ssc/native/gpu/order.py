"""Class-major order of channels: what a filter reads together lies side by side.

A filter of class c = s(n) mod g has its KxK kernels on the channels m with m mod g = c. In the
order (class, parity, index) these channels are neighbours, and so are the filters that read them
with the same taps. Where filter n is of class n mod g, the outputs of a layer are then in the order
that the next layer with this g wants for its inputs; or one with another power of two.
"""

import functools

import numpy as np

from keras_ssc.native.channel_order import Order

EIGHT = 8  # channels, or filters, that the kernels read or write together
# How many times as many live blocks the order of a layer before may leave, before a permutation
# of the channels is taken instead: a guess.
MORE_BLOCKS = 1.15


def input_order(pattern):
    """Return the input channel at each place: int array (M,), by (class m mod g, m)."""
    channels = np.arange(pattern.in_channels)
    return _by_class(channels, pattern.g or pattern.p, np.zeros_like(channels))


def output_order(pattern):
    """Return the filter at each place: int array (N,), by (class s(n) mod g, parity, n)."""
    number = pattern.g or pattern.p
    filters = np.arange(pattern.filters)
    classed = pattern.shifts % number + filters // number * number
    two = len(pattern.matrices) > 1  # else filters of both parities have the same taps
    return _by_class(classed, number, pattern.parities if two else np.zeros_like(filters))


def _by_class(numbers, count, parities):
    """Return the places of `numbers` by (number mod count, parity, number).

    Of a power of two the classes are joined, or cut, in halves, down to single numbers: so the
    order suits all powers of two, such as point-wise layers between others, and the numbers that
    the 1x1 part of a filter reads are neighbours too.
    """
    keys = [numbers % count, parities]
    if count & (count - 1) == 0:
        halves = [EIGHT * 2**n for n in range(int(max(numbers)).bit_length())]
        keys = [numbers % half for half in halves]
        keys.insert(halves.index(max(count, EIGHT)) + 1, parities)
    return np.lexsort((np.arange(len(numbers)), *reversed(keys)))


@functools.lru_cache(maxsize=256)
def orders(pattern, given=None):
    """Return (Order of the inputs, Order of the outputs) in which a layer computes.

    Args:
        pattern: SSCPattern.
        given: Order of what the layer reads, or None: its own. It is kept where the kernels have
            hardly more to do so.
    """
    own, outputs = Order.of(input_order(pattern)), Order.of(output_order(pattern))
    if given is not None and given != own:
        most = MORE_BLOCKS * live_blocks(weight_places(pattern, own, outputs))
        if live_blocks(weight_places(pattern, given, outputs)) <= most:
            own = given
    return own, outputs


def live_blocks(places):
    """Count the pairs of eight inputs and eight outputs, at a tap, that share a weight.

    Args:
        places: int array (taps, M, N) of `weight_places`.
    """
    taps, inputs, outputs = places.shape
    blocks = (taps, inputs // EIGHT, EIGHT, outputs // EIGHT, EIGHT)
    return int((places >= 0).reshape(blocks).any(axis=(2, 4)).sum())


def weight_places(pattern, inputs=None, outputs=None):
    """Return where each entry of the dense kernel, in class-major order, has its weight.

    Args:
        pattern: SSCPattern.
        inputs, outputs: Order of the channels and of the filters, or None: the layer's own.

    Returns:
        int32 array (taps, M, N): the place in the flat matrices of `pattern.matrices`, laid end to
        end; -1 where no weight is.
    """
    places = np.full(pattern.dense_weight_count, -1, np.int32)
    first = 0
    for _, positions, filters in pattern.matrices:
        entries = pattern.flat_indices(positions, filters)
        places[entries] = first + np.arange(entries.size).reshape(entries.shape)
        first += entries.size
    places = places.reshape(-1, pattern.in_channels, pattern.filters)
    before = input_order(pattern) if inputs is None else inputs.channels
    after = output_order(pattern) if outputs is None else outputs.channels
    return places[:, before][:, :, after]
