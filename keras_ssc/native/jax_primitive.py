"""JAX primitives that are computed by the native library on CPU, and by JAX's operations elsewhere.

A primitive is lowered where it is known what the program is for: to a custom call in a program for
one CPU; to the portable form, which is made of JAX's own operations, in a program for another
device, in one that XLA shares out to several devices, and in one that is exported, as no other
process would know the call. Imported when the first layer asks for it.
"""

import ctypes
import functools

import jax
import jax.numpy as jnp
from jax import typeof
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from keras_ssc.native.availability import accelerator
from keras_ssc.native.build import load

TARGETS = (
    "KerasSscConv2D",
    "KerasSscConv2DInputGradient",
    "KerasSscConv2DWeightGradient",
    "KerasSscBatchNorm",
    "KerasSscBatchNormGradient",
    "KerasSscNetwork",
)


def open_library(path):
    """Tell XLA the functions of the native library."""
    library = ctypes.CDLL(path)
    for name in TARGETS:
        jax.ffi.register_ffi_target(name, jax.ffi.pycapsule(getattr(library, name)), platform="cpu")
    return library


def primitive(
    name, *, shapes, portable, target=None, attributes=None, jvp, transpose=None, fold=()
):
    """Return a JAX primitive: arrays in, a list of arrays out.

    Args:
        name: str.
        shapes: function (*arrays, **parameters) -> list of the shapes of the results, which are of
            the first array's type; or of abstract arrays, where one is of another.
        portable: function (*arrays, **parameters) -> list of arrays, of JAX's operations.
        target: str, the custom call on CPU, for float32; None: the portable form everywhere.
        attributes: function (**parameters) -> dict of the call's attributes; None where the call
            can't serve.
        jvp: function (arrays, tangents, **parameters) -> (results, tangents), where a tangent that
            is zero is None.
        transpose: function (gradients, *arrays, **parameters) -> gradients by all arrays, None for
            those that are known, where the primitive is linear in the others.
        fold: function (**parameters) -> indices of the arrays that lead with the batch. If only
            these are mapped over by `jax.vmap`, the new axis becomes part of the batch.
    """
    new = Primitive(name)
    new.multiple_results = True
    new.portable = portable
    new.on_cpu, new.on_gpu = target is not None, False  # gpu/lowering.py sets the second

    @functools.partial(jax.jit, static_argnames="parameters")
    def compiled(*arrays, parameters):
        return new.bind(*arrays, **dict(parameters))

    @new.def_impl
    def _(*arrays, **parameters):
        return compiled(*arrays, parameters=tuple(parameters.items()))

    @new.def_abstract_eval
    def _(*arrays, **parameters):
        return [
            arrays[0].update(shape=own) if isinstance(own, tuple) else own
            for own in shapes(*arrays, **parameters)
        ]

    everywhere = mlir.lower_fun(portable, multiple_results=True)
    mlir.register_lowering(new, everywhere)
    if target:

        def on_cpu(context, *arrays, **parameters):
            own = attributes(**parameters)
            of_floats = all(one.dtype == jnp.float32 for one in context.avals_in)
            possible = own is not None and of_floats and calls_are_possible(context.module_context)
            if not possible or load()[1]:
                return everywhere(context, *arrays, **parameters)
            return jax.ffi.ffi_lowering(target)(context, *arrays, **own)

        mlir.register_lowering(new, on_cpu, platform="cpu")

    def with_zeros(arrays, tangents, **parameters):
        known = [None if isinstance(tangent, ad.Zero) else tangent for tangent in tangents]
        return jvp(arrays, known, **parameters)

    def transposed(gradients, *arrays, **parameters):
        return transpose([ad.instantiate_zeros(one) for one in gradients], *arrays, **parameters)

    ad.primitive_jvps[new] = with_zeros
    if transpose:
        ad.primitive_transposes[new] = transposed
    batching.primitive_batchers[new] = functools.partial(_mapped, new, fold)
    return new


def calls_are_possible(module):
    """Whether a program in the making may hold custom calls: for one CPU, and not exported."""
    if module.lowering_parameters.for_export:
        return False
    context = module.axis_context
    if isinstance(context, mlir.ShardingContext):
        return context.num_devices == 1
    # Inside of jax.shard_map each device runs for itself, unless some axes are left to XLA.
    mesh = getattr(context, "mesh", None)
    return mesh is None or set(context.manual_axes) == set(mesh.axis_names)


def _mapped(new, fold, arrays, axes, **parameters):
    """The rule for `jax.vmap`: one call for all where they can stand in one batch, else in turn.

    Where the portable form computes in any case, it is mapped itself.
    """
    if not _has_kernel(new, arrays):
        results = jax.vmap(functools.partial(new.portable, **parameters), axes)(*arrays)
        return results, [0] * len(results)
    arrays = [
        array if axis is None else jnp.moveaxis(array, axis, 0)
        for array, axis in zip(arrays, axes, strict=True)
    ]
    mapped = [i for i, axis in enumerate(axes) if axis is not None]
    size = arrays[mapped[0]].shape[0]
    leading = fold(**parameters) if fold else ()
    if set(mapped) <= set(leading):
        for i in leading:
            all_ = (
                arrays[i] if i in mapped else jnp.broadcast_to(arrays[i], (size, *arrays[i].shape))
            )
            arrays[i] = all_.reshape(-1, *all_.shape[2:]) if all_.size else all_[0]
        results = new.bind(*arrays, **parameters)
        results = [result.reshape(size, -1, *result.shape[1:]) for result in results]
        return results, [0] * len(results)

    def one(part):
        for i, array in zip(mapped, part, strict=True):
            arrays[i] = array
        return new.bind(*arrays, **parameters)

    results = jax.lax.map(one, [arrays[i] for i in mapped])
    return results, [0] * len(results)


def _has_kernel(new, arrays):
    """Whether a program made here may compute a primitive by a kernel of ours."""
    if accelerator():
        return new.on_gpu
    return new.on_cpu and all(array.dtype == jnp.float32 for array in arrays)


def explicit_axes(array):
    """The axes of the mesh that an array is explicitly shared out on; none of another mesh."""
    return getattr(typeof(array).sharding.mesh, "explicit_axes", ())


def call(new, arrays, **parameters):
    """Return the results of a primitive of `primitive` for arrays, which come from anywhere.

    Inside of `jax.shard_map` all arrays are made to vary along the same axes. On a mesh whose axes
    are explicit the portable form computes: each of its operations knows how it is shared out.
    """
    arrays = [jnp.asarray(array) for array in arrays]
    if any(map(explicit_axes, arrays)):
        return new.portable(*arrays, **parameters)
    types = [typeof(array) for array in arrays]
    # The axes of `jax.shard_map`: `mat.varying` since JAX 0.10, `vma` before.
    axes = [getattr(getattr(one, "mat", one), "varying", None) for one in types]
    axes = [
        getattr(one, "vma", frozenset()) if own is None else own
        for one, own in zip(types, axes, strict=True)
    ]
    every = frozenset().union(*axes)
    arrays = [
        jax.lax.pcast(array, tuple(every - own), to="varying") if every - own else array
        for array, own in zip(arrays, axes, strict=True)
    ]
    return new.bind(*arrays, **parameters)
