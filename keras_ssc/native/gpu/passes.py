"""The convolution and its gradients in JAX, around the kernels: orders, packing, launches.

The weights are packed anew in each pass, by one gather. Where the channels are not given in an
order for the kernels, they are brought into class-major order here, and the results back.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from keras_ssc.native.build import CannotBuild
from keras_ssc.native.gpu import (
    convolution_plan,
    costs,
    gradient_plan,
    order,
    planning,
    reads,
    tuned,
)
from keras_ssc.native.jax_permutation import reordered

DTYPES = ("bfloat16", "float32")
# Pieces of 16 bytes, and runs of 8 outputs, are counted in 32 bits.
MOST_VALUES = 4 * 2**31


@dataclass(frozen=True)
class Device:
    """What launches kernels.

    Args:
        shared: int, bytes of shared memory of a block.
        call: function (Launch, problem, arrays before the tables, arrays behind them, result,
            clear) -> array; `result` is a `jax.ShapeDtypeStruct`, `clear`: whether it starts as 0.
        multiprocessors: int, of the GPU.
    """

    shared: int
    call: Callable
    multiprocessors: int = costs.MULTIPROCESSORS


def convolution(device, x, weights, geometry, bias=None, residual=None, relu=False):
    """Return relu(conv(x, weights) + bias + residual).

    Args:
        device: Device.
        x: array (batch, rows, columns, M).
        weights: list of arrays, one for each of `pattern.matrices`.
        geometry: `keras_ssc.native.jax_convolution.Geometry`.
        bias: array (N,), or None.
        residual: array like the result, or None.
        relu: bool.

    Raises:
        CannotBuild: the kernels can't serve; the message says why.
    """
    plan = _plan(geometry, x.shape[1:3], "forward", x.shape[0], _itemsize(x), device)
    inputs, outputs = _missing(geometry)
    bias, residual = (None if one is None else reordered(one, outputs) for one in (bias, residual))
    shape = geometry.output_shape(x.shape)
    y = _convolved(device, plan, x, inputs, weights, shape, bias, residual, relu)
    return reordered(y, np.argsort(outputs))


def input_gradient(device, dy, weights, geometry, size):
    """Return the gradient by x, of (rows, columns) `size`. Arguments as for `convolution`."""
    plan = _plan(geometry, size, "by_input", dy.shape[0], _itemsize(dy), device)
    inputs, outputs = _missing(geometry)
    shape = (dy.shape[0], *size, geometry.pattern.in_channels)
    dx = _convolved(device, plan, dy, outputs, weights, shape)
    return reordered(dx, np.argsort(inputs))


def weight_gradient(device, x, dy, geometry):
    """Return the gradients by the weights: list of arrays. Arguments as for `convolution`."""
    plan = _plan(geometry, x.shape[1:3], "by_weights", x.shape[0], _itemsize(x), device)
    inputs, outputs = _missing(geometry)
    arrays = [reordered(x, inputs), reordered(dy.astype(x.dtype), outputs)]
    result = jax.ShapeDtypeStruct((plan.sums,), jnp.float32)
    sums = device.call(plan.launch, plan.launch.numbers(), arrays, [], result, clear=True)
    flat = _taken(sums, plan.picking).astype(x.dtype)
    shapes = geometry.matrix_shapes()
    ends = np.cumsum([rows * columns for rows, columns in shapes])[:-1]
    return [part.reshape(s) for part, s in zip(jnp.split(flat, ends), shapes, strict=True)]


def _convolved(device, plan, x, channels, weights, shape, bias=None, residual=None, relu=False):
    """Launch a ConvolutionPlan; the result is in class-major order, as bias and residual are."""
    flat = jnp.concatenate([matrix.astype(x.dtype).ravel() for matrix in weights])
    if x.dtype == jnp.float32:  # what the tensor cores keep of it
        flat = jax.lax.reduce_precision(flat, exponent_bits=8, mantissa_bits=10)
    flat = jnp.append(flat, jnp.zeros(1, x.dtype))
    packed = _taken(flat, np.where(plan.packing < 0, flat.size - 1, plan.packing))
    fields = {"has_bias": bias is not None, "has_residual": residual is not None, "relu": relu}
    fields["at_bias"], nothing = 0, _nothing()
    if bias is not None:  # in one array with the weights, which XLA makes in one launch
        fields["at_bias"] = packed.size
        packed = jnp.concatenate([packed, bias.astype(x.dtype)])
    behind = [nothing if bias is None else packed]
    behind.append(nothing if residual is None else residual.astype(x.dtype))
    problem = plan.launch.numbers(**{name: int(value) for name, value in fields.items()})
    result = jax.ShapeDtypeStruct(shape, x.dtype)
    arrays = [reordered(x, channels), packed]
    launch = plan.launch.with_epilogue() if any(fields.values()) else plan.launch
    return device.call(launch, problem, arrays, behind, result, clear=False)


def _nothing():
    """An array that is not read: the kernel wants an address. XLA makes equal numbers anew in each
    step, these are a constant.
    """
    return jnp.asarray(np.array([0, 1, 0, 0], np.float32))


def _taken(values, places):
    """One gather, of places that are known to be there."""
    return values.at[places].get(mode="promise_in_bounds")


def _itemsize(x):
    if x.dtype.name not in DTYPES:
        raise CannotBuild(f"the GPU's kernels compute in bfloat16 and float32, not {x.dtype}")
    return x.dtype.itemsize


def _orders(geometry):
    """The orders in which the kernels compute: those that are given, or the layer's own."""
    own, outputs = order.orders(geometry.pattern)
    return geometry.inputs or own, geometry.outputs or outputs


def _missing(geometry):
    """The orders that the channels of x and of y are yet to be brought into: int arrays."""
    pattern = geometry.pattern
    given = (geometry.inputs, geometry.outputs)
    counts = (pattern.in_channels, pattern.filters)
    return [
        np.arange(count) if known else own.channels
        for known, own, count in zip(given, order.orders(pattern), counts, strict=True)
    ]


@functools.lru_cache(maxsize=256)
def _plan(geometry, size, which, batch, itemsize, device):
    pattern = geometry.pattern
    own = reads.Geometry(
        pattern.kernel_size, geometry.strides, geometry.padding, geometry.dilation_rate, size
    )
    if 0 in (batch, *size, *own.out_size):
        raise CannotBuild("there is nothing to compute")
    values = batch * max(
        math.prod(size) * pattern.in_channels, math.prod(own.out_size) * pattern.filters
    )
    if values >= MOST_VALUES:
        raise CannotBuild(f"the GPU's kernels count to {MOST_VALUES} values of a tensor")
    places = order.weight_places(pattern, *_orders(geometry))
    dtype = "bfloat16" if itemsize == 2 else "float32"
    numbers = tuned.numbers_of(pattern, geometry.strides, size, dtype, which, batch)
    kind = gradient_plan if which == "by_weights" else convolution_plan
    read = own.by_input() if which == "by_input" else own.forward()
    places = places.transpose(0, 2, 1) if which == "by_input" else places
    settings = (batch, itemsize, device.shared, numbers, device.multiprocessors)
    plan = planning.plan(kind, places, read, *settings)
    if plan is None:
        raise CannotBuild("a tile of the layer does not fit in the GPU's shared memory")
    return plan
