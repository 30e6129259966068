"""What a run ran on."""

import os
import platform
from importlib import metadata
from pathlib import Path

import keras


def environment():
    """Return versions, backend and hardware as a dict."""
    versions = {"python": platform.python_version()}
    for package in ("keras-ssc", "keras", "tensorflow", "jax", "numpy"):
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = None
    return {
        "versions": versions,
        "backend": keras.backend.backend(),
        "hardware": {
            "machine": platform.machine(),
            "system": platform.system(),
            "cpu": _cpu(),
            "cpu_count": os.cpu_count(),
            "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS"),
        },
        "accelerators": _accelerators(),
    }


def _accelerators():
    """Names of the devices besides the CPU, as the backend calls them."""
    if keras.backend.backend() == "jax":
        import jax

        return [one.device_kind for one in jax.local_devices() if one.platform != "cpu"]
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        devices = [one for one in tf.config.list_physical_devices() if one.device_type != "CPU"]
        details = [tf.config.experimental.get_device_details(one) for one in devices]
        pairs = zip(details, devices, strict=True)
        return [about.get("device_name", one.device_type) for about, one in pairs]
    return []


def _cpu():
    """Name and vector instructions of the CPU, as far as the system knows."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return {"name": platform.processor(), "vector": None}
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    fields = {key.strip(): value.strip() for key, value in fields.items()}
    flags = (fields.get("flags") or fields.get("Features") or "").split()
    known = ("asimd", "avx", "avx2", "fma", "avx512f", "avx512_bf16", "amx_tile")
    return {
        "name": fields.get("model name", platform.processor()),
        "vector": [flag for flag in known if flag in flags],
    }
