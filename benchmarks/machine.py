"""What the figures were measured on: CPU, threads, versions, and its own measured rates."""

import os
import platform
import time
from importlib import metadata
from pathlib import Path

import numpy as np

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


def onednn_is_on():
    """Whether TensorFlow computes with oneDNN: asked for by name, or by itself on AVX-512."""
    asked = os.environ.get("TF_ENABLE_ONEDNN_OPTS")
    return asked == "1" if asked is not None else "avx512f" in cpu()[1]


def describe():
    """The columns that every row of a result carries."""
    name, flags = cpu()
    row = {"cpu": name, "cores": os.cpu_count(), "flags": " ".join(flags)}
    row |= {"onednn": "on" if onednn_is_on() else "off"}
    return row | {package: version(package) for package in PACKAGES}


def hardware_name():
    """A short name for files: cpu, cores, widest vectors."""
    name, flags = cpu()
    words = "".join(c if c.isalnum() else " " for c in name).lower().split()
    widest = "avx512" if "avx512f" in flags else "avx2" if "avx2" in flags else "plain"
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
