"""Which kernel entries a Structured Sparse Convolution keeps: one short list, shifted."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from keras_ssc.arguments import boolean, integer, one_of, pair

SHIFTS = ("cyclic", "block")
PARITIES = ("halves", "alternate")
EVEN, ODD = 0, 1
# Places in the dense kernel are computed in int32.
MAX_ENTRIES = 2**31 - 1


def _frozen(array):
    array.flags.writeable = False
    return array


@dataclass(frozen=True)
class SSCPattern:
    """The live positions of one layer of Structured Sparse Convolution.

    A base list over relative channels `r = 1 ... M` is written once: the channels
    `r = g, 2g, ...` carry a KxK kernel, and among the other channels every p-th carries a
    1x1 kernel at the centre tap. Filter `n` (from 0) reads channel `(r + s(n)) mod M`, so

        y[pixel, n] = sum_i x[pixel + tap_i, (r_i + s(n)) mod M] * w[i, n].

    Even filters have the taps with even `row + column`, odd filters the others (for K = 3:
    5 and 4 taps), so all filters of one parity have equally many positions.

    Args:
        in_channels: int, M, the number of input channels.
        filters: int, N, the number of filters (output channels).
        kernel_size: int or pair of ints, (rows, columns) of the kernel, K.
        g: int in [0, M]. Every g-th channel carries a KxK kernel; 0: none does.
        p: int in [0, M - floor(M / g)]. Every p-th of the other channels carries a 1x1
            kernel; 0: none does.
        shift: `"cyclic"`: s(n) = n mod q + set_offset * floor(n / q), with q = max(g, p);
            `"block"`: s(n) = floor(n q / N).
        parity: `"halves"`: the first floor(N / 2) filters are even, the others odd;
            `"alternate"`: filter n is odd when n is odd.
        dense_taps: bool. Full KxK kernels in place of odd and even ones.
        set_offset: int >= 0, the extra shift from one set of q filters to the next
            (cyclic shift only).

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: a value is outside its range. The message names the argument, the rule
            and what was received.

    Example:

    >>> pattern = SSCPattern(in_channels=64, filters=64, kernel_size=3, g=8, p=3)
    >>> pattern.weight_count, pattern.dense_weight_count
    (3456, 36864)
    >>> round(pattern.sparsity, 4)
    0.9062

    Reference: Verma et al., "Pushing the Efficiency Limit Using Structured Sparse
    Convolutions", section 2, equations 3 to 13.
    """

    in_channels: int
    filters: int
    kernel_size: int | tuple[int, int] = 3
    g: int = 8
    p: int = 4
    shift: str = "cyclic"
    parity: str = "halves"
    dense_taps: bool = False
    set_offset: int = 0

    def __post_init__(self):
        def put(name, value):
            object.__setattr__(self, name, value)

        put("in_channels", integer("in_channels", self.in_channels, 1))
        put("filters", integer("filters", self.filters, 1))
        put("kernel_size", pair("kernel_size", self.kernel_size))
        put("g", integer("g", self.g, 0))
        put("p", integer("p", self.p, 0))
        put("set_offset", integer("set_offset", self.set_offset, 0))
        put("shift", one_of("shift", self.shift, SHIFTS))
        put("parity", one_of("parity", self.parity, PARITIES))
        put("dense_taps", boolean("dense_taps", self.dense_taps))
        self._check_ranges()

    def _check_ranges(self):
        if self.dense_weight_count > MAX_ENTRIES:
            raise ValueError(
                "`filters`, `kernel_size` and `in_channels`, which `g` and `p` ask for, must make "
                f"a kernel of fewer than 2^31 entries. Received: filters={self.filters}, "
                f"kernel_size={self.kernel_size}, in_channels={self.in_channels}"
            )
        if self.g == 0 and self.p == 0:
            raise ValueError(
                "`g` and `p` must not both be 0: no weight would be left. Received: g=0, p=0"
            )
        if self.g > self.in_channels:
            raise ValueError(
                "`g` must be at most `in_channels`. "
                f"Received: g={self.g}, in_channels={self.in_channels}"
            )
        free = self.in_channels - self.kxk_channels
        if self.p > free:
            raise ValueError(
                f"`p` must be at most {free}, the number of channels without a KxK kernel, "
                "M - floor(M / g); 0 means no 1x1 kernels. "
                f"Received: p={self.p}, g={self.g}, in_channels={self.in_channels}"
            )
        if self.kernel_size == (1, 1) and self.g > 0 and not self.dense_taps:
            raise ValueError(
                "`g` must be 0 for a 1x1 kernel, whose odd filters would have no tap, unless "
                f"dense_taps=True. Received: g={self.g}, kernel_size={self.kernel_size}"
            )
        if self.set_offset and self.shift != "cyclic":
            raise ValueError(
                '`set_offset` goes with shift="cyclic" only. '
                f"Received: set_offset={self.set_offset}, shift={self.shift!r}"
            )

    @property
    def q(self) -> int:
        """Filters per set, max(g, p) (equation 9)."""
        return max(self.g, self.p)

    @property
    def kxk_channels(self) -> int:
        """Channels with a KxK kernel per filter, floor(M / g)."""
        return self.in_channels // self.g if self.g else 0

    @property
    def pointwise_channels(self) -> int:
        """Channels with a 1x1 kernel per filter, floor((M - floor(M / g)) / p)."""
        return (self.in_channels - self.kxk_channels) // self.p if self.p else 0

    @property
    def centre_tap(self) -> tuple[int, int]:
        """(row, column) of the tap where the 1x1 kernels sit, floor((K - 1) / 2)."""
        return tuple((side - 1) // 2 for side in self.kernel_size)

    @cached_property
    def shifts(self) -> np.ndarray:
        """s(n), the channel shift of every filter: int array (N,)."""
        n = np.arange(self.filters)
        if self.shift == "block":
            return _frozen(n * self.q // self.filters)
        # Whole turns around the channels change nothing, but would overflow.
        return _frozen(n % self.q + self.set_offset % self.in_channels * (n // self.q))

    @cached_property
    def parities(self) -> np.ndarray:
        """0 for even filters and 1 for odd ones: int array (N,)."""
        n = np.arange(self.filters)
        if self.parity == "alternate":
            return _frozen(n % 2)
        return _frozen((n >= self.filters // 2).astype(n.dtype))

    def taps(self, parity: int) -> np.ndarray:
        """Taps of the KxK kernels of one parity, in row-major order: int array (taps, 2)."""
        rows, columns = np.indices(self.kernel_size).reshape(2, -1)
        live = np.full(rows.shape, True) if self.dense_taps else (rows + columns) % 2 == parity
        return np.stack([rows[live], columns[live]], axis=-1)

    @cached_property
    def positions(self) -> tuple[np.ndarray, np.ndarray]:
        """(even, odd): the live positions of a filter, int arrays (positions, 3).

        Each line is (row, column, r): first the KxK kernels, tap by tap, then the 1x1s.
        """
        r = np.arange(1, self.in_channels + 1)
        kxk = r % self.g == 0 if self.g else np.full(r.shape, False)
        pointwise = r[~kxk][self.p - 1 :: self.p] if self.p else r[:0]
        centre = np.concatenate(
            [np.broadcast_to(self.centre_tap, (len(pointwise), 2)), pointwise[:, None]], axis=1
        )
        both = []
        for parity in (EVEN, ODD):
            kernels = [[(*tap, channel) for channel in r[kxk]] for tap in self.taps(parity)]
            kernels = np.array(kernels, dtype=r.dtype).reshape(-1, 3)
            both.append(_frozen(np.concatenate([kernels, centre])))
        return tuple(both)

    @cached_property
    def matrices(self) -> tuple[tuple[str, np.ndarray, np.ndarray], ...]:
        """The weight matrices of the layer: a tuple of (name, positions, filter indices).

        One matrix per parity that has filters and positions, of shape (positions, filters); a
        single one when the two lists of positions agree.
        """
        even, odd = self.positions
        if np.array_equal(even, odd):
            return (("kernel", even, _frozen(np.arange(self.filters))),)
        named = (("kernel_even", even, EVEN), ("kernel_odd", odd, ODD))
        found = [
            (name, list_, _frozen(np.flatnonzero(self.parities == parity)))
            for name, list_, parity in named
        ]
        return tuple(entry for entry in found if len(entry[1]) and len(entry[2]))

    def channels(self, positions: np.ndarray, filters: np.ndarray) -> np.ndarray:
        """Input channel `(r + s(n)) mod M`: int array (positions, filters)."""
        return (positions[:, 2:] + self.shifts[filters]) % self.in_channels

    def flat_indices(self, positions: np.ndarray, filters: np.ndarray) -> np.ndarray:
        """Place of each weight in the flat dense kernel: int array (positions, filters)."""
        row, column = positions[:, :1], positions[:, 1:2]
        tap = row * self.kernel_size[1] + column
        return (tap * self.in_channels + self.channels(positions, filters)) * self.filters + filters

    def mask(self) -> np.ndarray:
        """True where the dense kernel is live: bool array (K, K, M, N)."""
        flat = np.zeros(self.dense_weight_count, bool)
        for _, positions, filters in self.matrices:
            flat[self.flat_indices(positions, filters)] = True
        return flat.reshape(*self.kernel_size, self.in_channels, self.filters)

    @property
    def weight_count(self) -> int:
        """Live weights, without biases."""
        return sum(len(positions) * len(filters) for _, positions, filters in self.matrices)

    @property
    def dense_weight_count(self) -> int:
        """Weights of the dense counterpart, K K M N (equation 2)."""
        return self.kernel_size[0] * self.kernel_size[1] * self.in_channels * self.filters

    @property
    def density(self) -> float:
        """Fraction of the dense counterpart's weights that is live."""
        return self.weight_count / self.dense_weight_count

    @property
    def sparsity(self) -> float:
        """Fraction of the dense counterpart's weights that is removed, 1 - density."""
        return 1 - self.density

    @property
    def expected_sparsity(self) -> float:
        """R_p of equation 13, averaged over even and odd filters; for fractions M / g as they are.

        R_p = 1 - (1 - c / K^2) / g - (1 - 1 / g) / (K^2 p), with 1 / 0 read as 0.
        """
        taps = self.kernel_size[0] * self.kernel_size[1]
        live_taps = (len(self.taps(EVEN)) + len(self.taps(ODD))) / 2
        per_g = 1 / self.g if self.g else 0.0
        per_p = 1 / self.p if self.p else 0.0
        return 1 - live_taps / taps * per_g - (1 - per_g) * per_p / taps

    def macs(self, output_height: int, output_width: int) -> int:
        """Multiply-adds for one image, border taps counted (equations 4 and 7).

        Args:
            output_height: int, rows of the output map.
            output_width: int, columns of the output map.
        """
        height = integer("output_height", output_height, 1)
        width = integer("output_width", output_width, 1)
        return height * width * self.weight_count

    def disjoint_sets(self) -> tuple[tuple[int, ...], ...]:
        """Runs of q consecutive filters, whose shifts all differ under the cyclic rule.

        Returns:
            A tuple of tuples of filter indices; the last may be short (equation 9).
        """
        n = range(self.filters)
        return tuple(tuple(n[start : start + self.q]) for start in n[:: self.q])

    @cached_property
    def unread_channels(self) -> tuple[int, ...]:
        """Input channels that no filter reads: tuple of ints."""
        read = self.mask().any(axis=(0, 1, 3))
        return tuple(int(channel) for channel in np.flatnonzero(~read))

    @cached_property
    def tap_coverage(self) -> float:
        """Fraction of the (channel, tap) pairs that some filter has."""
        return float(self.mask().any(axis=3).mean())
