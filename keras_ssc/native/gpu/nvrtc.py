"""NVRTC, NVIDIA's compiler as a library, from the wheels that JAX brings, or from the system."""

import ctypes
import ctypes.util
import functools
import importlib.util
from pathlib import Path

from keras_ssc.native.build import CannotBuild

SOURCE = Path(__file__).parent / "source"
# Where `nvidia-cuda-nvrtc-cu12` and `nvidia-cuda-nvrtc` (13 and later) keep it.
FOLDERS = ("cuda_nvrtc/lib", "cu*/lib")


@functools.cache
def library():
    """Return NVRTC as a `ctypes` library.

    Raises:
        CannotBuild: there is none.
    """
    spec = importlib.util.find_spec("nvidia")
    roots = [Path(root) for root in (spec.submodule_search_locations or [])] if spec else []
    found = [
        path
        for root in roots
        for folder in FOLDERS
        for path in sorted(root.glob(f"{folder}/libnvrtc.so.*"))
    ]
    name = str(found[0]) if found else ctypes.util.find_library("nvrtc")
    if not name:
        raise CannotBuild("NVRTC was not found: pip install nvidia-cuda-nvrtc-cu12")
    for builtins in Path(name).parent.glob("libnvrtc-builtins.so.*") if found else ():
        ctypes.CDLL(str(builtins), mode=ctypes.RTLD_GLOBAL)  # it looks for them by name
    return ctypes.CDLL(name)


def version():
    """Return NVRTC's version, such as "12.9"."""
    numbers = ctypes.c_int(), ctypes.c_int()
    library().nvrtcVersion(*map(ctypes.byref, numbers))
    return ".".join(str(number.value) for number in numbers)


def architectures():
    """Return the architectures that it compiles for: list of str, such as "sm_90"."""
    count = ctypes.c_int()
    library().nvrtcGetNumSupportedArchs(ctypes.byref(count))
    numbers = (ctypes.c_int * count.value)()
    library().nvrtcGetSupportedArchs(numbers)
    return [f"sm_{number}" for number in numbers]


def compile_kernel(kernel, defines, architecture):
    """Return a kernel as a cubin, in bytes.

    Args:
        kernel: str, `"convolve"` or `"weight_gradient"`.
        defines: dict, macros of the source.
        architecture: str, such as `"sm_90"`.

    Raises:
        CannotBuild: NVRTC is missing, or refuses; the message ends with what it says.
    """
    nvrtc = library()
    headers = sorted(SOURCE.glob("*.h"))
    texts = _strings(header.read_text(encoding="utf-8") for header in headers)
    names = _strings(header.name for header in headers)
    source = (SOURCE / f"{kernel}.cu").read_bytes()
    program = ctypes.c_void_p()
    _checked(
        nvrtc.nvrtcCreateProgram(
            ctypes.byref(program), source, kernel.encode(), len(headers), texts, names
        )
    )
    try:
        options = [f"--gpu-architecture={architecture}", "--std=c++17"]
        options += [f"-D{name}={value}" for name, value in defines.items()]
        if nvrtc.nvrtcCompileProgram(program, len(options), _strings(options)):
            log = _output(nvrtc, "ProgramLog", program).rstrip(b"\0").decode(errors="replace")
            raise CannotBuild(f"NVRTC failed for {architecture}: {log.strip()[-500:]}")
        return _output(nvrtc, "CUBIN", program)
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))


def _strings(texts):
    texts = [text.encode() for text in texts]
    return (ctypes.c_char_p * len(texts))(*texts)


def _checked(result):
    if result:
        raise CannotBuild(f"NVRTC failed with error {result}")


def _output(nvrtc, what, program):
    size = ctypes.c_size_t()
    _checked(getattr(nvrtc, f"nvrtcGet{what}Size")(program, ctypes.byref(size)))
    buffer = ctypes.create_string_buffer(size.value)
    _checked(getattr(nvrtc, f"nvrtcGet{what}")(program, buffer))
    return buffer.raw
