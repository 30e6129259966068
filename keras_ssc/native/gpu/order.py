"""Class-major order of channels: what a filter reads together lies side by side.

A filter of class c = s(n) mod g has its KxK kernels on the channels m with m mod g = c. In the
order (class, parity, index) these channels are neighbours, and so are the filters that read them
with the same taps. The order of the inputs depends on their number and on g alone, so that layers
with one g can hand their outputs on as they are.
"""

import numpy as np


def input_order(pattern):
    """Return the input channel at each place: int array (M,), by (m mod g, m)."""
    channels = np.arange(pattern.in_channels)
    return np.lexsort((channels, channels % (pattern.g or pattern.p)))


def output_order(pattern):
    """Return the filter at each place: int array (N,), by (s(n) mod g, parity, n)."""
    filters = np.arange(pattern.filters)
    return np.lexsort((filters, pattern.parities, pattern.shifts % (pattern.g or pattern.p)))


def weight_places(pattern):
    """Return where each entry of the dense kernel, in class-major order, has its weight.

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
    return places[:, input_order(pattern)][:, :, output_order(pattern)]
