"""What the figures were measured on: CPU, threads, versions, and its own measured rates."""

import functools
import hashlib
import os
import platform
import time
from importlib import metadata
from pathlib import Path

import numpy as np

from common import vectors

PACKAGES = ("tensorflow", "keras", "jax", "torch", "onnxruntime", "numpy")


def version(package):
    """Version of an installed package, or "not installed"."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def cpu():
    """(name, vector flags) of the CPU, as Linux tells them."""
    name, flags = platform.processor() or platform.machine(), []
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                name = line.split(":", 1)[1].strip()
            if line.startswith("flags"):
                known = ("avx", "avx2", "fma", "avx512f", "avx512vl", "avx512_bf16", "amx_tile")
                flags = [flag for flag in line.split(":", 1)[1].split() if flag in known]
                break
    return name, flags


def onednn():
    """Whether TensorFlow computes with oneDNN, asked for by name or by itself on AVX-512."""
    asked = os.environ.get("TF_ENABLE_ONEDNN_OPTS")
    on = asked == "1" if asked is not None else "avx512f" in cpu()[1]
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA")
    return ("on" if on else "off") + (f", at most {limit}" if limit else "")


def threads():
    """How many cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count()


def use_one_core():
    """Keep this process and those it starts on one core: before anything makes threads."""
    if not hasattr(os, "sched_setaffinity"):
        raise SystemExit("--threads 1 needs a system that binds processes to cores, such as Linux.")
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


@functools.cache
def code():
    """Eight letters that change with every source file of the package."""
    import keras_ssc

    folder = Path(keras_ssc.__file__).parent
    files = sorted(path for path in folder.rglob("*") if path.suffix in (".py", ".cc", ".h"))
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in files)).hexdigest()[:8]


def describe():
    """The columns that every row of a result carries."""
    name, flags = cpu()
    flags = " ".join(flags)
    row = {"cpu": name, "cores": os.cpu_count(), "threads": threads(), "flags": flags}
    row |= {"avx512": vectors.avx512(flags), "onednn": onednn(), "code": code()}
    return row | {package: version(package) for package in PACKAGES}


def hardware_name():
    """A short name for files: cpu, cores, widest vectors."""
    name, flags = cpu()
    words = "".join(c if c.isalnum() else " " for c in name).lower().split()
    widest = "avx2" if "avx2" in flags else "plain"
    if "avx512f" in flags:
        widest = f"avx512-{vectors.avx512(' '.join(flags))}"
    return "-".join([*words[:3], f"{os.cpu_count()}cores", widest])


def rates():
    """Measured multiply-add rate (GFLOP/s, float32) and copy rate (GB/s) of all cores together."""
    import tensorflow as tf

    a = tf.random.normal((2048, 2048))
    multiply = tf.function(lambda: tf.matmul(a, a))
    source = tf.random.normal((64 * 1024 * 1024,))
    copy = tf.function(lambda: source + 1.0)
    best = {}
    for name, step, work in (
        ("gflops", multiply, 2 * 2048**3 / 1e9),
        ("copy_gb", copy, 2 * source.shape[0] * 4 / 1e9),
    ):
        step()
        times = []
        for _ in range(7):
            start = time.perf_counter()
            np.asarray(step())
            times.append(time.perf_counter() - start)
        best[name] = round(work / min(times), 1)
    return best
