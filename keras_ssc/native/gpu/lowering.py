"""The primitives of jax_convolution.py in programs for an NVIDIA GPU.

Derivatives of any order, `jax.vmap` and all else are theirs; here is only how one is computed in a
program for one GPU: by a kernel, or, where that can't serve, by the portable form.
"""

import functools
import logging

import jax
import jax.numpy as jnp
import numpy as np
from jax.interpreters import mlir

from keras_ssc.native import jax_convolution
from keras_ssc.native.build import CannotBuild, once
from keras_ssc.native.gpu import build, costs, passes
from keras_ssc.native.jax_primitive import calls_are_possible


def call(architecture, own, problem, before, behind, result, clear):
    """Launch a kernel by XLA's call; `passes.Device` has the arguments."""
    path = build.cubin(own.kernel, tuple(own.defines.items()), architecture)
    grid = [own.tiles, own.parts, own.phases, own.threads, own.shared, int(clear)]
    # With a last number that breaks every progression: XLA computes those anew in each step.
    tables = [jnp.asarray(np.append(table, -7).astype(np.int32)) for table in own.tables]
    return jax.ffi.ffi_call(build.TARGET, result)(
        *before, *tables, *behind,
        cubin=str(path), kernel=own.kernel, problem=problem, grid=np.array(grid, np.int32),
    )  # fmt: skip


@once
def find():
    """Return (the `passes.Device` of the first GPU, None), or (None, why there is none)."""
    try:
        return _device(), None
    except CannotBuild as error:
        return None, str(error)
    except Exception as error:  # a library that doesn't load must not stop the user's work
        return None, f"the GPU's kernels can't be loaded: {error}"


def _device():
    try:
        gpu = jax.devices("cuda")[0]
    except RuntimeError as error:
        raise CannotBuild("JAX sees no NVIDIA GPU") from error
    architecture, shared = build.architecture_of(getattr(gpu, "compute_capability", None))
    build.nvrtc.library()
    build.register_launch()
    multiprocessors = getattr(gpu, "core_count", costs.MULTIPROCESSORS)
    return passes.Device(shared, functools.partial(call, architecture), multiprocessors)


def convolution(device, *arrays, geometry, relu, **which):
    """The primitive `_convolution`."""
    x, weights, bias, residual = jax_convolution.parts(arrays, geometry, **which)
    return [passes.convolution(device, x, weights, geometry, bias, residual, relu)]


def input_gradient(device, dy, *weights, geometry, size):
    """The primitive `_input_gradient`."""
    return [passes.input_gradient(device, dy, weights, geometry, size)]


def weight_gradient(device, x, dy, *, geometry):
    """The primitive `_weight_gradient`."""
    return passes.weight_gradient(device, x, dy, geometry)


@once
def register():
    """Tell JAX how the three primitives are computed on an NVIDIA GPU."""
    functions = (convolution, input_gradient, weight_gradient)
    for primitive, function in zip(jax_convolution.PRIMITIVES, functions, strict=True):
        mlir.register_lowering(primitive, _rule(primitive, function), platform="cuda")
        primitive.on_gpu = True


def _rule(primitive, function):
    portable = mlir.lower_fun(primitive.portable, multiple_results=True)

    def lower(context, *arrays, **parameters):
        device, _ = find()
        if device and calls_are_possible(context.module_context):
            own = functools.partial(function, device)
            try:
                return mlir.lower_fun(own, multiple_results=True)(context, *arrays, **parameters)
            except CannotBuild as error:
                logging.getLogger("keras_ssc").warning(
                    "keras-ssc computes a layer without its GPU kernels: %s", error
                )
        return portable(context, *arrays, **parameters)

    return lower
