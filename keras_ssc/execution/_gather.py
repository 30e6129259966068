"""`execution="gather"`: the channels of each shift class side by side, then one batched product.

All filters of one shift and parity read the same values of x, so one matrix product serves them.
The taps of x are laid side by side, of these each class takes its positions, and a product that is
batched over the classes does the rest: operations that XLA compiles well for a GPU.
"""

import numpy as np
from keras import ops


def why_not_gather(pattern, *, strides, padding, sizes):
    """Return why the gather form can't serve, or None where it can. Arguments as for `grouped`."""
    for _, _, filters in pattern.matrices:
        _, counts = np.unique(pattern.shifts[filters], return_counts=True)
        if len(set(counts)) > 1:
            return "the shift classes have unequally many filters"
    unknown = any(size is None and stride > 1 for size, stride in zip(sizes, strides, strict=True))
    if padding == "same" and unknown:
        return 'with strides and padding="same" the taps depend on the unknown input size'
    return None


def gather(x, weights, pattern, *, strides, padding, dilation_rate):
    """Convolve `x` (batch, height, width, M) class by class. Arguments as for `dense`."""
    x = _padded(x, pattern, strides, padding, dilation_rate)
    outputs, order = [], []
    for matrix, (_, positions, filters) in zip(weights, pattern.matrices, strict=True):
        if not len(positions) or not len(filters):
            outputs.append(None)
            order.append(filters)
            continue
        columns = np.argsort(pattern.shifts[filters], kind="stable")
        shifts = np.unique(pattern.shifts[filters])
        taps, which = np.unique(positions[:, :2], axis=0, return_inverse=True)
        side_by_side = ops.concatenate(
            [_tap(x, tap, pattern, strides, dilation_rate) for tap in taps], axis=-1
        )
        channels = (positions[:, 2] + shifts[:, None]) % pattern.in_channels
        places = which.reshape(1, -1) * pattern.in_channels + channels
        read = ops.take(side_by_side, places.astype("int32"), axis=-1)
        kernels = ops.take(matrix, columns.astype("int32"), axis=1)
        kernels = ops.reshape(kernels, (len(positions), len(shifts), -1))
        y = ops.einsum("bhwci,icf->bhwcf", read, kernels)
        outputs.append(ops.reshape(y, (*ops.shape(y)[:3], len(filters))))
        order.append(filters[columns])
    known = next(y for y in outputs if y is not None)
    for index, y in enumerate(outputs):
        if y is None:  # odd kernels of size 1x1 have no taps
            outputs[index] = ops.zeros((*ops.shape(known)[:3], len(order[index])), known.dtype)
    y = ops.concatenate(outputs, axis=-1)
    return ops.take(y, np.argsort(np.concatenate(order)).astype("int32"), axis=-1)


def _padded(x, pattern, strides, padding, dilation_rate):
    """`x` with the zeros of TensorFlow's "same" around it."""
    if padding == "valid":
        return x
    pads = [(0, 0)]
    for axis, size in enumerate(x.shape[1:3]):
        reach = (pattern.kernel_size[axis] - 1) * dilation_rate[axis]
        total = reach
        if strides[axis] > 1:
            total = max((-(-size // strides[axis]) - 1) * strides[axis] + reach + 1 - size, 0)
        pads.append((total // 2, total - total // 2))
    return ops.pad(x, [*pads, (0, 0)])


def _tap(x, tap, pattern, strides, dilation_rate):
    """The pixels of the padded `x` that one tap reads, one for each output pixel."""
    slices = [slice(None)]
    for axis in (0, 1):
        reach = (pattern.kernel_size[axis] - 1) * dilation_rate[axis]
        first = int(tap[axis]) * dilation_rate[axis]
        slices.append(slice(first, first - reach or None, strides[axis]))
    return x[tuple(slices)]
