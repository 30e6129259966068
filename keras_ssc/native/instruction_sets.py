"""The instruction sets that the inner loops of the native library are compiled for."""

import functools
import os
import platform
import subprocess

# Compiled once for every instruction set, into functions that end in its name.
LOOPS = (
    "depthwise_loops",
    "image_loops",
    "microkernels",
    "normalize_loops",
    "row_kernels",
    "row_sums",
)
PAIRED = ("microkernels", "row_kernels")  # those for PAIRED_SET, too, whose vectors hold pairs
FLAGS, PAIRED_SET = {"plain": ()}, "avx512bf16"
if platform.machine().lower() in ("x86_64", "amd64"):
    FLAGS |= {
        "avx2": ("-mavx2", "-mfma"),
        "avx512": ("-mavx512f", "-mavx512vl", "-mavx512dq", "-mavx512bw"),
    }
    FLAGS[PAIRED_SET] = (*FLAGS["avx512"], "-mavx512bf16")


def loops(compiler, stem):
    """Return {instruction set: options} to compile a source for, if it is one of `LOOPS`."""
    options = {}
    for name, flags in FLAGS.items() if stem in LOOPS else ():
        if name != PAIRED_SET:
            options[name] = (*flags, f"-DINSTRUCTIONS={name}")
        elif stem in PAIRED:  # without the flags it holds no loops
            flags = flags if knows(compiler, flags) else ()
            options[name] = (*flags, "-DPAIRS", f"-DINSTRUCTIONS={name}")
    return options


@functools.cache
def knows(compiler, flags):
    """Whether a compiler takes these options."""
    command = [compiler, *flags, "-x", "c++", "-E", os.devnull]
    return not subprocess.run(command, capture_output=True, check=False).returncode


def sets_of(compiler):
    """Return the names of the instruction sets that a compiler (None: any) can be used for."""
    return tuple(name for name, flags in FLAGS.items() if not compiler or knows(compiler, flags))
