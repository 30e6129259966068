"""Which pixels a pass reads: of a convolution, and of its gradient by the input."""

from dataclasses import dataclass
from itertools import product


@dataclass(frozen=True)
class Phase:
    """Results that read with the same taps.

    Args:
        first: (row, column) of the first of them in the output.
        taps: tuple of (row, column, tap): result (i, j) of the phase reads the pixel
            (step_in * i + row, step_in * j + column) with the kernel's tap.
    """

    first: tuple
    taps: tuple


@dataclass(frozen=True)
class Reads:
    """What one pass reads for each of its results.

    Args:
        in_size, out_size: (rows, columns) of the tensors that are read and written.
        step_in: (rows, columns) between what neighbouring results read.
        step_out: (rows, columns) between neighbouring results of a phase, in the output.
        phases: tuple of Phase; together they write every pixel once.
    """

    in_size: tuple
    out_size: tuple
    step_in: tuple
    step_out: tuple
    phases: tuple

    @property
    def results(self):
        """(rows, columns) of the results of the largest phase."""
        return tuple(-(-n // step) for n, step in zip(self.out_size, self.step_out, strict=True))

    @property
    def first(self):
        """(row, column) of the first pixel that any result (0, 0) reads."""
        taps = [tap for phase in self.phases for tap in phase.taps]
        return tuple(min((tap[axis] for tap in taps), default=0) for axis in (0, 1))

    @property
    def reach(self):
        """(rows, columns) from the first to the last pixel that a result may read, both counted."""
        taps = [tap for phase in self.phases for tap in phase.taps]
        last = [max((tap[axis] for tap in taps), default=0) for axis in (0, 1)]
        return tuple(end - start + 1 for start, end in zip(self.first, last, strict=True))


@dataclass(frozen=True)
class Geometry:
    """A convolution of images of one size: pads and sizes, after TensorFlow's rule for "same".

    Args:
        kernel_size, strides, dilation_rate, size: (rows, columns); `size` is that of the input.
        padding: `"same"`, `"valid"`, or ((above, below), (left, right)) in pixels of zeros.
    """

    kernel_size: tuple
    strides: tuple
    padding: str | tuple
    dilation_rate: tuple
    size: tuple

    def _axis(self, axis):
        """(pixels of padding before, outputs) of one axis."""
        stride, size = self.strides[axis], self.size[axis]
        reach = (self.kernel_size[axis] - 1) * self.dilation_rate[axis]
        if self.padding != "same":
            before, behind = (0, 0) if self.padding == "valid" else self.padding[axis]
            return before, -(-(before + size + behind - reach) // stride)
        outputs = -(-size // stride)
        return max((outputs - 1) * stride + reach + 1 - size, 0) // 2, outputs

    def _taps(self, axis):
        """Where the taps of one axis lie, from the pixel that stands for the output."""
        before, _ = self._axis(axis)
        return [tap * self.dilation_rate[axis] - before for tap in range(self.kernel_size[axis])]

    @property
    def out_size(self):
        """(rows, columns) of the output."""
        return tuple(self._axis(axis)[1] for axis in (0, 1))

    def forward(self):
        """Return the Reads of the convolution: output i reads i * stride + tap."""
        rows, columns = self._taps(0), self._taps(1)
        taps = [(*place, tap) for tap, place in enumerate(product(rows, columns))]
        phases = (Phase((0, 0), tuple(taps)),)
        return Reads(self.size, self.out_size, self.strides, (1, 1), phases)

    def by_input(self):
        """Return the Reads of the gradient by the input, which reads that by the output.

        Input i is read by the outputs (i - tap) / stride that are integers: those i that leave the
        same remainder have the same taps, and are one phase.
        """
        phases = []
        for first in product(*(range(stride) for stride in self.strides)):
            taps = []
            for tap, place in enumerate(product(self._taps(0), self._taps(1))):
                away = [start - own for start, own in zip(first, place, strict=True)]
                if all(a % stride == 0 for a, stride in zip(away, self.strides, strict=True)):
                    taps.append((*(a // s for a, s in zip(away, self.strides, strict=True)), tap))
            phases.append(Phase(first, tuple(taps)))
        return Reads(self.out_size, self.size, (1, 1), self.strides, tuple(phases))
