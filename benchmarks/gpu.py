"""SSC on an accelerator through XLA: exactness, then layers and a training step against dense.

One command, within ten minutes, with Keras on JAX and without TensorFlow:

KERAS_BACKEND=jax python benchmarks/gpu.py --csv gpu.csv
KERAS_BACKEND=jax python benchmarks/gpu.py --dry-run     # small sizes, on any device
"""

import argparse
import os
import time
from importlib import metadata

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax
import jax.numpy as jnp
import keras
import numpy as np

import keras_ssc
from common import results
from keras_ssc import SSCConv2D
from keras_ssc.execution import choose, convolve

FORMS = ("dense", "grouped", "gather")
# channels -> filters, side of the map, kernel: the distinct stride-1 layers of the networks.
LAYERS = {
    "ResNet32": [(32, 32, 32, 3), (64, 64, 16, 3), (128, 128, 8, 3)],
    "VGG19": [(64, 64, 32, 3), (128, 128, 16, 3), (256, 256, 8, 3), (512, 512, 4, 3)],
    "ResNet50": [(64, 64, 56, 3), (128, 128, 28, 3), (256, 256, 14, 3), (512, 512, 7, 3),
                 (256, 64, 56, 1), (512, 128, 28, 1), (1024, 256, 14, 1), (2048, 512, 7, 1)],
}  # fmt: skip
PRECISIONS = {  # name: (dtype, precision of matrix products)
    "float32": ("float32", "highest"),
    "tf32": ("float32", "default"),
    "bfloat16": ("bfloat16", "default"),
}


def pattern_of(channels, filters, size, sparsity):
    """The pattern that the layer would choose; of 1x1 layers the nearest p below."""
    choice = {"sparsity": sparsity}
    if size == 1:
        choice = {"g": 0, "p": 2 ** int(np.log2(1 / (1 - sparsity) + 1e-6))}
    layer = SSCConv2D(filters, size, padding="same", **choice)
    layer.build((None, None, None, channels))
    return layer.pattern


def arrays(pattern, side, batch, dtype):
    """(x, weights, dy) on the device."""
    random = np.random.default_rng(0)
    x = random.normal(size=(batch, side, side, pattern.in_channels))
    dy = random.normal(size=(batch, side, side, pattern.filters))
    weights = [random.normal(size=(len(i), len(n))) for _, i, n in pattern.matrices]
    return jax.tree.map(lambda array: jnp.asarray(array, dtype), (x, weights, dy))


def passes(pattern, form):
    """Return {task: compiled function of (x, weights, dy)}; form "Conv2D": a dense kernel."""

    def forward(x, weights):
        if form == "Conv2D":
            return keras.ops.conv(x, weights[0], padding="same", data_format="channels_last")
        return convolve(x, weights, pattern, form, padding="same")

    def gradients(x, weights, dy):
        y, back = jax.vjp(forward, x, weights)
        return (y, *back(dy))

    return {
        "forward": jax.jit(lambda x, weights, dy: forward(x, weights)),
        "forward and gradients": jax.jit(gradients),
    }


def served(pattern, side):
    """The forms that really compute this layer."""
    settings = {"strides": (1, 1), "padding": "same", "sizes": (side, side)}
    return [form for form in FORMS if choose(form, pattern, **settings)[0] == form]


def check_exactness(size):
    """Compare every form, values and gradients, with the dense one on the CPU; return the rows."""
    rows = []
    for channels, filters, side, kernel in ((64, 64, size, 3), (128, 96, size, 3), (64, 64, 7, 1)):
        pattern = pattern_of(channels, filters, kernel, 0.9)
        x, weights, dy = arrays(pattern, side, 4, "float32")
        with jax.default_device(jax.devices("cpu")[0]), jax.default_matmul_precision("highest"):
            host = jax.tree.map(lambda a: jnp.asarray(np.asarray(a)), (x, weights, dy))
            expected = passes(pattern, "dense")["forward and gradients"](*host)
        for form in served(pattern, side):
            with jax.default_matmul_precision("highest"):
                found = passes(pattern, form)["forward and gradients"](x, weights, dy)
            pairs = zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True)
            error = max(
                float(np.abs(np.asarray(a) - np.asarray(b)).max() / np.abs(np.asarray(b)).max())
                for a, b in pairs
            )
            name = f"{kernel}x{kernel} {channels}->{filters} @{side}"
            print(f"exactness {name:24}{form:9}{error:.1e}", flush=True)
            rows.append({"kind": "exactness", "layer": name, "form": form, "error": error})
            if not error < 1e-4:
                raise SystemExit(f"{form} is wrong by {error:.1e} of the largest entry of {name}")
    return rows


def interleaved(steps, rounds, calls):
    """Median milliseconds of a call, of functions that take turns; `calls` between two waits."""
    taken = {name: [] for name in steps}
    for turn in range(rounds + 1):
        for name, step in steps.items():
            start = time.perf_counter()
            for _ in range(calls):
                last = step()
            jax.block_until_ready(last)
            if turn:  # the first compiles
                taken[name].append((time.perf_counter() - start) / calls * 1e3)
    return {name: np.percentile(times, [25, 50, 75]) for name, times in taken.items()}


def time_layers(arguments, until):
    """Time all forms of all layers against a dense Conv2D; return the rows."""
    rows = []
    for network, layers in LAYERS.items():
        for channels, filters, side, kernel in layers[: arguments.layers]:
            for precision in arguments.precision:
                for sparsity in arguments.sparsity:
                    if time.monotonic() > until:
                        print("out of time: the other layers are not run")
                        return rows
                    shape = (channels, filters, side, kernel)
                    rows += time_layer(network, shape, precision, sparsity, arguments)
    return rows


def time_layer(network, shape, precision, sparsity, arguments):
    """One layer at one sparsity and precision."""
    channels, filters, side, kernel = shape
    dtype, matmul = PRECISIONS[precision]
    pattern = pattern_of(channels, filters, kernel, sparsity)
    x, weights, dy = arrays(pattern, side, arguments.batch, dtype)
    dense = [jnp.ones((kernel, kernel, channels, filters), dtype)]
    rows, steps = [], {}
    with jax.default_matmul_precision(matmul):
        for form in ("Conv2D", *served(pattern, side)):
            own = dense if form == "Conv2D" else weights
            for task, function in passes(pattern, form).items():
                steps[task, form] = lambda f=function, w=own: f(x, w, dy)
        times = interleaved(steps, arguments.rounds, arguments.calls)
    for (task, form), (low, median, high) in times.items():
        ratio = times[task, "Conv2D"][1] / median
        name = f"{kernel}x{kernel} {channels}->{filters} @{side}"
        print(f"{network:9}{name:24}{sparsity:5}{precision:>9} {task:22}{form:8}"
              f"{median:9.3f} ms {ratio:6.2f}x", flush=True)  # fmt: skip
        rows.append(
            {"kind": "layer", "network": network, "layer": name, "precision": precision,
             "sparsity": sparsity, "g": pattern.g, "p": pattern.p, "batch": arguments.batch,
             "task": task, "form": form, "quartile_1_ms": low, "median_ms": median,
             "quartile_3_ms": high, "times_as_fast_as_dense": ratio}
        )  # fmt: skip
    return rows


def time_training(arguments):
    """A training step of ResNet32 and VGG19, SSC against dense; return the rows."""
    random = np.random.default_rng(0)
    x = random.normal(size=(arguments.batch, 32, 32, 3)).astype("float32")
    y = random.integers(0, 10, arguments.batch)
    rows = []
    for network in ("ResNet32", "VGG19")[: arguments.layers]:
        build = getattr(keras_ssc.applications, network)
        models = {"dense": build(sparsity=0)}
        for form in FORMS:
            models[f"SSC 0.9, {form}"] = build(sparsity=0.9, execution=form)
        for model in models.values():
            model.compile(keras.optimizers.SGD(0.01, 0.9), "sparse_categorical_crossentropy")
        steps = {name: lambda m=m: m.train_on_batch(x, y) for name, m in models.items()}
        times = interleaved(steps, arguments.rounds, 1)
        for name, (low, median, high) in times.items():
            ratio = times["dense"][1] / median
            print(f"{network:9}training step {name:20}{median:9.2f} ms {ratio:6.2f}x", flush=True)
            rows.append(
                {"kind": "training step", "network": network, "batch": arguments.batch,
                 "form": name, "quartile_1_ms": low, "median_ms": median, "quartile_3_ms": high,
                 "times_as_fast_as_dense": ratio}
            )  # fmt: skip
    return rows


def save(rows, path):
    """Write the rows, each with device and versions."""
    device = jax.devices()[0]
    common = {"device": device.device_kind, "platform": device.platform}
    common |= {name: metadata.version(name) for name in ("jax", "keras")}
    results.save([common | row for row in rows], path, "gpu")


def main():
    """Parse the command line, run, save after each part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--sparsity", type=float, nargs="+", default=[0.9, 0.95, 0.98])
    parser.add_argument("--precision", nargs="+", choices=PRECISIONS, default=list(PRECISIONS))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--calls", type=int, default=10, help="of one layer between two waits")
    parser.add_argument("--minutes", type=float, default=8, help="then no further layer begins")
    parser.add_argument("--layers", type=int, help="of each network, at most")
    parser.add_argument("--dry-run", action="store_true", help="one small layer of each network")
    parser.add_argument("--csv", default="gpu.csv")
    arguments = parser.parse_args()
    if keras.backend.backend() != "jax":
        raise SystemExit("gpu.py needs KERAS_BACKEND=jax")
    if arguments.dry_run:
        arguments.batch, arguments.rounds, arguments.calls, arguments.layers = 2, 1, 1, 1
        arguments.sparsity, arguments.precision = [0.9], ["float32"]
    until = time.monotonic() + 60 * arguments.minutes
    print(f"{jax.devices()[0].device_kind}, jax {jax.__version__}")
    rows = check_exactness(8 if arguments.dry_run else 16)
    save(rows, arguments.csv)
    rows += time_training(arguments)
    save(rows, arguments.csv)
    rows += time_layers(arguments, until)
    save(rows, arguments.csv)


if __name__ == "__main__":
    main()
