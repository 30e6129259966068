"""Slow, obvious NumPy references, written from the rules and from nothing in the package."""

import numpy as np


def reads(M, N, K, g, p, shift, parity, dense_taps, set_offset):
    """For every filter, its list of (row, column, channel), one filter and channel at a time."""
    rows, columns = K
    q = max(g, p)
    filters = []
    for n in range(N):
        s = n * q // N if shift == "block" else n % q + set_offset * (n // q)
        odd = n % 2 == 1 if parity == "alternate" else n >= N // 2
        found, others = [], 0
        for r in range(1, M + 1):
            channel = (r + s) % M
            if g and r % g == 0:
                for row in range(rows):
                    for column in range(columns):
                        if dense_taps or (row + column) % 2 == (1 if odd else 0):
                            found.append((row, column, channel))
            else:
                others += 1
                if p and others % p == 0:
                    found.append(((rows - 1) // 2, (columns - 1) // 2, channel))
        filters.append(found)
    return filters


def mask(M, N, K, *rules):
    """The boolean mask (K, K, M, N)."""
    out = np.zeros((*K, M, N), bool)
    for n, found in enumerate(reads(M, N, K, *rules)):
        for row, column, channel in found:
            assert not out[row, column, channel, n]
            out[row, column, channel, n] = True
    return out


def padding_before(size, kernel, stride, dilation, padding):
    """(zeros before, outputs) along one axis, after TensorFlow's rule for "same"."""
    reach = (kernel - 1) * dilation + 1
    if padding == "valid":
        return 0, (size - reach) // stride + 1
    outputs = -(-size // stride)
    return max((outputs - 1) * stride + reach - size, 0) // 2, outputs


def convolution(x, kernel, bias, strides, padding, dilation):
    """y[:, i, j] = bias + sum over u, v of x[:, i s + u d - pad, ...] @ kernel[u, v]."""
    batch, height, width, _ = x.shape
    rows, columns, _, filters = kernel.shape
    top, out_height = padding_before(height, rows, strides[0], dilation[0], padding)
    left, out_width = padding_before(width, columns, strides[1], dilation[1], padding)
    y = np.zeros((batch, out_height, out_width, filters), x.dtype)
    for i in range(out_height):
        for j in range(out_width):
            for u in range(rows):
                for v in range(columns):
                    a = i * strides[0] + u * dilation[0] - top
                    b = j * strides[1] + v * dilation[1] - left
                    if 0 <= a < height and 0 <= b < width:
                        y[:, i, j] += x[:, a, b] @ kernel[u, v]
    return y + bias


def convolution_gradients(x, kernel, dy, strides, padding, dilation):
    """Gradients of sum(y * dy) by x, by the kernel and by the bias."""
    _, height, width, _ = x.shape
    rows, columns, _, _ = kernel.shape
    top, out_height = padding_before(height, rows, strides[0], dilation[0], padding)
    left, out_width = padding_before(width, columns, strides[1], dilation[1], padding)
    dx, dkernel = np.zeros_like(x), np.zeros_like(kernel)
    for i in range(out_height):
        for j in range(out_width):
            for u in range(rows):
                for v in range(columns):
                    a = i * strides[0] + u * dilation[0] - top
                    b = j * strides[1] + v * dilation[1] - left
                    if 0 <= a < height and 0 <= b < width:
                        dx[:, a, b] += dy[:, i, j] @ kernel[u, v].T
                        dkernel[u, v] += x[:, a, b].T @ dy[:, i, j]
    return dx, dkernel, dy.sum((0, 1, 2))
