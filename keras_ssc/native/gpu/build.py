"""The compiled kernels and the XLA call that launches them: made on first use, then kept."""

import ctypes
import functools
import hashlib

from keras_ssc.native import build
from keras_ssc.native.build import CannotBuild
from keras_ssc.native.gpu import nvrtc

TARGET = "KerasSscLaunch"
# The most shared memory of a block in bytes, by compute capability, from the CUDA programming
# guide's table of technical specifications. Others are taken to have as little as the least.
MAX_SHARED = {"8.0": 166912, "8.7": 166912, "9.0": 232448, "10.0": 232448, "10.3": 232448}
MIN_SHARED = 101376  # 8.6, 8.9, 12.0


def architecture_of(capability):
    """Return (architecture, bytes of shared memory) of a compute capability, such as "9.0".

    Raises:
        CannotBuild: it is no NVIDIA GPU, or too old a one.
    """
    try:
        major, minor = map(int, capability.split("."))
    except (AttributeError, ValueError):
        raise CannotBuild("the GPU is not one of NVIDIA's") from None
    if major < 8:
        raise CannotBuild(f"compute capability {capability} is below 8.0")
    return f"sm_{major}{minor}", MAX_SHARED.get(capability, MIN_SHARED)


@functools.cache
def cubin(kernel, defines, architecture):
    """Return the path of a compiled kernel; compile it unless the cache has it.

    Args:
        kernel, architecture: as for `nvrtc.compile_kernel`.
        defines: tuple of (name, value).
    """
    parts = [kernel, repr(defines), architecture, nvrtc.version()]
    parts += [path.read_text(encoding="utf-8") for path in sorted(nvrtc.SOURCE.glob("*.[hc]*"))]
    return _kept(
        f"{kernel}-{architecture}", parts, ".cubin",
        lambda path: path.write_bytes(nvrtc.compile_kernel(kernel, dict(defines), architecture)),
    )  # fmt: skip


@build.once
def launch_library():
    """Compile the XLA call `TARGET` and return the library that has it.

    Raises:
        CannotBuild: there is no C++ compiler.
    """
    import jax
    import jaxlib

    compiler = build.find().compiler
    if compiler is None:
        raise CannotBuild("no C++ compiler (g++) was found")
    source = nvrtc.SOURCE / "handler.cc"
    options = ["-std=c++17", "-O2", "-w", "-shared", "-fPIC", f"-I{jax.ffi.include_dir()}"]
    command = [compiler, *options, str(source), "-ldl", "-o"]
    path = _kept(
        "launch", [jaxlib.__version__, compiler, source.read_text(encoding="utf-8")], ".so",
        lambda path: build.run([[*command, str(path)]], path.parent),
    )  # fmt: skip
    return ctypes.CDLL(str(path))


@build.once
def register_launch():
    """Tell JAX of the XLA call `TARGET`.

    Raises:
        CannotBuild: there is no C++ compiler, or no driver.
    """
    library = launch_library()
    library.keras_ssc_missing_driver.restype = ctypes.c_char_p
    if missing := library.keras_ssc_missing_driver().decode():
        raise CannotBuild(missing)
    tell_jax(library)


def tell_jax(library):
    """Tell JAX of the call in a library of `launch_library`."""
    import jax

    jax.ffi.register_ffi_target(TARGET, jax.ffi.pycapsule(library.KerasSscLaunch), platform="CUDA")


def _kept(name, parts, suffix, make):
    """Return the path of a file of the cache, named by all that goes into it."""
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
    return build.kept(build.cache_folder() / f"gpu-{name}-{digest}{suffix}", make)
