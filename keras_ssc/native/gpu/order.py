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
READ = 2  # what reading a block costs beside the products, as in blocks.py
# What a pass over eight channels of a pixel costs, in products: a guess, as launch.LOAD is. A
# permutation reads and writes them, and again for the gradient.
PASS = 6
PASSES = 4


def input_order(pattern):
    """Return the input channel at each place: int array (M,), by (class m mod g, m)."""
    channels = np.arange(pattern.in_channels)
    return _by_class(channels, pattern, np.zeros_like(channels))


def output_order(pattern):
    """Return the filter at each place: int array (N,), by (class s(n) mod g, parity, n)."""
    count = pattern.g or pattern.p
    filters = np.arange(pattern.filters)
    classed = pattern.shifts % count + filters // count * count
    two = len(pattern.matrices) > 1  # else filters of both parities have the same taps
    return _by_class(classed, pattern, pattern.parities if two else np.zeros_like(filters))


def _by_class(numbers, pattern, parities):
    """Return the places of `numbers` by (class, parity, number).

    Classes of a power of two are cut in halves, down to single numbers: so what the 1x1 part of a
    filter reads lies side by side too, and the order suits other powers of two. Point-wise layers,
    which stand between others, begin with two classes; those of more than eight with eight.
    """
    count = pattern.g or pattern.p
    keys = [numbers % count, parities]
    if count & (count - 1) == 0:
        first = min(pattern.g, EIGHT) or min(count, 2)
        halves = [first * 2**n for n in range(int(max(*numbers, count)).bit_length())]
        keys = [numbers % half for half in halves]
        keys.insert(halves.index(count) + 1, parities)
    return np.lexsort((np.arange(len(numbers)), *reversed(keys)))


@functools.lru_cache(maxsize=256)
def orders(pattern, given=None):
    """Return (Order of the inputs, Order of the outputs) in which a layer computes.

    Args:
        pattern: SSCPattern.
        given: Order of what the layer reads, or None: its own. It is kept where the kernels'
            additional work costs less than a permutation.
    """
    own, outputs = Order.of(input_order(pattern)), Order.of(output_order(pattern))
    if given in (None, own):
        return own, outputs
    more = work(pattern, given) - work(pattern)
    kept = more <= PASSES * PASS * pattern.in_channels // EIGHT
    return given if kept else own, outputs


def work(pattern, inputs=None, outputs=None):
    """Return the kernels' work for a pixel, forward and by the input, in products of 8 outputs.

    A job of 8, 16 or 32 outputs reads each block of eight inputs that it shares a weight with, at
    a tap: for all its outputs at once, but then it multiplies zeros as well.

    Args: as for `weight_places`.
    """
    live = weight_places(pattern, inputs, outputs) >= 0
    taps, before, after = live.shape
    live = live.reshape(taps, before // EIGHT, EIGHT, after // EIGHT, EIGHT).any(axis=(2, 4))
    return _least_work(live) + _least_work(live.transpose(0, 2, 1))


def _least_work(live):
    taps, before, after = live.shape
    widths = [n for n in (1, 2, 4) if after % n == 0]
    return min(
        int(live.reshape(taps, before, after // n, n).any(axis=3).sum()) * (READ + n)
        for n in widths
    )


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
