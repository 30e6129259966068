"""The native convolution on JAX: three primitives, each linear in either of its two arguments.

    y = conv(x, w)      dx = by_input(dy, w)      dw = by_weights(x, dy)

The sum of conv(x, w) * dy is linear in all three, so the derivatives of each primitive are the
other two: in forward and in reverse mode, to any order.
"""

import functools
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import keras
import numpy as np
from jax.interpreters import ad

from keras_ssc.native.channel_order import Order
from keras_ssc.native.convolution import attributes_of
from keras_ssc.native.jax_primitive import call, primitive
from keras_ssc.patterns import SSCPattern


@dataclass(frozen=True)
class Geometry:
    """What all three primitives know: the pattern, and Conv2D's arguments.

    Args:
        pattern: SSCPattern.
        strides, dilation_rate: (rows, columns).
        padding: `"same"`, `"valid"`, or ((above, below), (left, right)) in pixels of zeros, which
            the kernels for a GPU know.
        lanes, slices: int, as for `keras_ssc.native.native`.
        inputs, outputs: channel_order.Order in which channels of x and of y (and bias, residual)
            are given, or None: their own.
    """

    pattern: SSCPattern
    strides: tuple
    padding: str | tuple
    dilation_rate: tuple
    lanes: int
    slices: int
    inputs: Order | None = None
    outputs: Order | None = None

    def dense(self, x, *weights):
        """The convolution by JAX's operations."""
        from keras_ssc.execution.expand import expand_kernel  # `execution` imports this package

        kernel = expand_kernel(list(weights), self.pattern)
        if self.inputs:
            kernel = kernel[:, :, self.inputs.channels]
        if self.outputs:
            kernel = kernel[..., self.outputs.channels]
        if pads := self.pads:
            x = jnp.pad(x, ((0, 0), *pads, (0, 0)))
        return keras.ops.conv(
            x,
            kernel,
            strides=self.strides,
            padding="valid" if pads else self.padding,
            data_format="channels_last",
            dilation_rate=self.dilation_rate,
        )

    @property
    def pads(self):
        """((above, below), (left, right)) where they are given, else None."""
        return None if isinstance(self.padding, str) else self.padding

    def output_shape(self, x):
        """The shape of y for x of that shape."""
        sizes = []
        for axis, size in enumerate(x[1:3]):
            reach = (self.pattern.kernel_size[axis] - 1) * self.dilation_rate[axis]
            size += sum(self.pads[axis]) if self.pads else 0
            room = size if self.padding == "same" else size - reach
            sizes.append(-(-room // self.strides[axis]))
        return (x[0], *sizes, self.pattern.filters)

    def matrix_shapes(self):
        """The shapes of the weights."""
        return [(len(rows), len(filters)) for _, rows, filters in self.pattern.matrices]


def convolve(x, weights, geometry, bias, residual, relu):
    """Return relu(conv(x, weights) + bias + residual); arguments as for `keras_ssc.native.native`.

    Args:
        geometry: Geometry.
    """
    added = [array for array in (bias, residual) if array is not None]
    (y,) = call(
        _convolution,
        [x, *weights, *added],
        geometry=geometry,
        has_bias=bias is not None,
        has_residual=residual is not None,
        relu=relu,
    )
    return y


@functools.lru_cache(maxsize=1024)
def _attributes(geometry, **epilogue):
    if geometry.inputs or geometry.outputs or geometry.pads:
        return None  # orders and pads are for a GPU
    lists = attributes_of(geometry.pattern, geometry.strides, geometry.dilation_rate)
    lists = {name: np.array(values, "int32") for name, values in lists.items()}
    numbers = {"lanes": np.int32(geometry.lanes), "slices": np.int32(geometry.slices)}
    return lists | numbers | epilogue | {"same": geometry.padding == "same"}


def _sum(terms):
    return functools.reduce(jnp.add, terms)


def _filled(tangents, arrays):
    """Zeros in place of each None."""
    return [
        jnp.zeros_like(array) if tangent is None else tangent
        for tangent, array in zip(tangents, arrays, strict=True)
    ]


def _bilinear(bind):
    """The rule of derivatives of bind(first, *others), linear in the first and in the others."""

    def jvp(arrays, tangents, **parameters):
        (first, *others), (along, *tangents) = arrays, tangents
        terms = []
        if along is not None:
            terms.append(bind(along, *others, **parameters))
        if any(tangent is not None for tangent in tangents):
            terms.append(bind(first, *_filled(tangents, others), **parameters))
        results = bind(*arrays, **parameters)
        return results, [_sum(one) for one in zip(*terms, strict=True)]

    return jvp


# The convolution: x, weights, then bias and residual where they are there.


def parts(arrays, geometry, has_bias, has_residual, **_):
    """(x, weights, bias, residual) of what `_convolution` is given, None where there is none."""
    count = len(geometry.pattern.matrices)
    rest = list(arrays[count + 1 :])
    bias = rest.pop(0) if has_bias else None
    return arrays[0], arrays[1 : count + 1], bias, rest.pop(0) if has_residual else None


def _plain(x, *weights, geometry):
    parameters = {"has_bias": False, "has_residual": False, "relu": False}
    return _convolution.bind(x, *weights, geometry=geometry, **parameters)


def _portable_convolution(*arrays, geometry, relu, **which):
    x, weights, bias, residual = parts(arrays, geometry, **which)
    y = geometry.dense(x, *weights)
    y = y if bias is None else y + bias
    y = y if residual is None else y + residual
    return [jax.nn.relu(y) if relu else y]


def _convolution_jvp(arrays, tangents, *, geometry, relu, **which):
    (y,) = _convolution.bind(*arrays, geometry=geometry, relu=relu, **which)
    x, weights, _, _ = parts(arrays, geometry, **which)
    dx, dweights, dbias, dresidual = parts(tangents, geometry, **which)
    terms = [] if dresidual is None else [dresidual]
    if dbias is not None:
        terms.append(jnp.broadcast_to(dbias, y.shape))
    if any(tangent is not None for tangent in (dx, *dweights)):
        linear = _bilinear(_plain)
        terms += linear([x, *weights], [dx, *dweights], geometry=geometry)[1]
    total = _sum(terms)
    return [y], [jnp.where(y > 0, total, 0) if relu else total]


def _convolution_transpose(gradients, x, *weights, geometry, **_):
    if ad.is_undefined_primal(x):
        size = x.aval.shape[1:3]
        dx = _input_gradient.bind(*gradients, *weights, geometry=geometry, size=size)
        return [*dx, *[None] * len(weights)]
    return [None, *_weight_gradient.bind(x, *gradients, geometry=geometry)]


def _leading(geometry, has_bias, has_residual, **_):
    last = len(geometry.pattern.matrices) + has_bias + 1
    return (0, last) if has_residual else (0,)


_convolution = primitive(
    "keras_ssc_convolution",
    shapes=lambda x, *_, geometry, **__: [geometry.output_shape(x.shape)],
    portable=_portable_convolution,
    target="KerasSscConv2D",
    attributes=_attributes,
    jvp=_convolution_jvp,
    transpose=_convolution_transpose,
    fold=_leading,
)


# The gradient by input: dy, weights; `size` is (rows, columns) of x.


def _input_shape(dy, geometry, size):
    return (dy.shape[0], *size, geometry.pattern.in_channels)


def _portable_input_gradient(dy, *weights, geometry, size):
    x = jax.ShapeDtypeStruct(_input_shape(dy, geometry, size), dy.dtype)
    return jax.linear_transpose(lambda x: geometry.dense(x, *weights), x)(dy)


def _input_gradient_transpose(gradients, dy, *weights, geometry, size):
    if ad.is_undefined_primal(dy):
        return [*_plain(*gradients, *weights, geometry=geometry), *[None] * len(weights)]
    return [None, *_weight_gradient.bind(*gradients, dy, geometry=geometry)]


_input_gradient = primitive(
    "keras_ssc_convolution_by_input",
    shapes=lambda dy, *_, geometry, size: [_input_shape(dy, geometry, size)],
    portable=_portable_input_gradient,
    target="KerasSscConv2DInputGradient",
    attributes=lambda geometry, size: _attributes(geometry),
    jvp=_bilinear(lambda *arrays, **parameters: _input_gradient.bind(*arrays, **parameters)),
    transpose=_input_gradient_transpose,
    fold=lambda **_: (0,),
)


# The gradients by the weights: x, dy.


def _portable_weight_gradient(x, dy, *, geometry):
    shapes = [jax.ShapeDtypeStruct(shape, x.dtype) for shape in geometry.matrix_shapes()]
    return jax.linear_transpose(lambda *weights: geometry.dense(x, *weights), *shapes)(dy)


def _weight_gradient_transpose(gradients, x, dy, *, geometry):
    if ad.is_undefined_primal(x):
        size = x.aval.shape[1:3]
        return [*_input_gradient.bind(dy, *gradients, geometry=geometry, size=size), None]
    return [None, *_plain(x, *gradients, geometry=geometry)]


_weight_gradient = primitive(
    "keras_ssc_convolution_by_weights",
    shapes=lambda *_, geometry: geometry.matrix_shapes(),
    portable=_portable_weight_gradient,
    target="KerasSscConv2DWeightGradient",
    attributes=_attributes,
    jvp=_bilinear(lambda *arrays, **parameters: _weight_gradient.bind(*arrays, **parameters)),
    transpose=_weight_gradient_transpose,
)


PRIMITIVES = (_convolution, _input_gradient, _weight_gradient)
