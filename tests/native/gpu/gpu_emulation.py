"""Runs the CUDA kernels on the CPU: the real source, compiled by g++ with emulator.cc."""

import ctypes
import functools
import hashlib
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest

import keras_ssc.native.gpu.launch as launches
from keras_ssc.native import build

SOURCE = Path(launches.__file__).parent / "source"
EMULATOR = Path(__file__).with_name("emulator.cc")
FOLDER = Path(tempfile.gettempdir()) / "keras_ssc_emulated"


@functools.cache
def library(kernel, defines):
    """Compile the emulation of one kernel, or skip where there is no compiler."""
    compiler = shutil.which("g++")
    if not compiler:
        pytest.skip("no C++ compiler (g++) was found")
    options = [f"-D{name}={value}" for name, value in defines]
    options += [f'-DSOURCE="{kernel}.cu"', f"-DKERNEL={kernel}", f"-I{SOURCE}"]
    texts = [path.read_text(encoding="utf-8") for path in (EMULATOR, *sorted(SOURCE.glob("*")))]
    key = hashlib.sha256("\0".join([*options, *texts]).encode()).hexdigest()[:16]
    command = [compiler, "-std=c++17", "-O1", "-w", "-shared", "-fPIC", *options, str(EMULATOR)]
    made = build.kept(
        FOLDER / f"{key}.so", lambda path: build.run([[*command, "-o", str(path)]], path.parent)
    )
    found = ctypes.CDLL(str(made))
    found.launch.restype = ctypes.c_char_p
    return found


def run(launch, arrays, result, blocks=2, problem=None, **fields):
    """Launch a kernel on the CPU: `arrays` and `result` as the kernel's first and last ones.

    Args:
        launch: keras_ssc.native.gpu.launch.Launch.
        arrays: list of (arrays before the tables, arrays behind them).
        result: array to write.
        blocks: int, the first size of the grid.
        problem: int32 array, the problem; None: the launch's.
        **fields: fields of the problem to set.
    """
    before, behind = arrays
    values = [*before, *launch.tables, *behind, result]
    values = [array if array.size else np.zeros(4, array.dtype) for array in values]
    values = [aligned(array) if array is not result else result for array in values]
    problem = np.array(launch.numbers(**fields) if problem is None else problem)
    pointers = [ctypes.c_void_p(array.ctypes.data) for array in values]
    arguments = [ctypes.cast(ctypes.byref(pointer), ctypes.c_void_p) for pointer in pointers]
    arguments.append(ctypes.c_void_p(problem.ctypes.data))
    count = len(arguments)
    sizes = (ctypes.c_long * (count + 1))(*(array.nbytes for array in values), -1)
    grid = (ctypes.c_int * 3)(min(blocks, launch.tiles), launch.parts, launch.phases)
    failure = library(launch.kernel, tuple(launch.defines.items())).launch(
        grid, launch.threads, launch.shared, (ctypes.c_void_p * count)(*arguments), sizes
    )
    assert failure == b"", failure.decode()
    return result


def aligned(array):
    """A copy of an array that starts at a multiple of 16 bytes, as XLA's do."""
    room = np.zeros(array.nbytes + 16, np.uint8)
    start = -room.ctypes.data % 16
    copy = room[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def bfloat16(array):
    """The upper halves of float32 values, which must have no more bits."""
    words = np.ascontiguousarray(array, np.float32).view(np.uint32)
    assert not (words & 0xFFFF).any()
    return (words >> 16).astype(np.uint16)


def from_bfloat16(array):
    """Values of bfloat16 as float32."""
    return (array.astype(np.uint32) << 16).view(np.float32)
