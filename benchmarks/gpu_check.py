"""The kernels for NVIDIA GPUs on a real one: exactness first, then times against dense, as a CSV.

One command on a machine with a GPU, g++ and `pip install "keras-ssc[gpu]"`; nine minutes at most:

KERAS_BACKEND=jax python benchmarks/gpu_check.py --csv gpu-kernels.csv
KERAS_BACKEND=jax python benchmarks/gpu_check.py --dry-run    # the script alone, on any device

Exactness: small integers, whose products and sums have no rounding, so that every number must be
equal to that of JAX's own convolution on the CPU; the device's memory is filled with NaN before.
Times: medians of programs that hold many calls over rotating arrays, larger than the L2 cache in
all. `layer` is what a layer does, with its channels brought into class-major order and back;
`class-major` is without that, as in a network that keeps the order. `--table` writes the rows of
both to the table that `execution="auto"` reads.
"""

import argparse
import concurrent.futures
import contextlib
import csv
import os
import time
from importlib import metadata
from unittest import mock

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax
import jax.numpy as jnp
import keras
import numpy as np

from common import results
from common.gpu_layers import EXACT, TIMED, compile_layers, described, pattern_of
from keras_ssc import SSCConv2D
from keras_ssc.execution import convolve
from keras_ssc.native import channel_order, why_not_native
from keras_ssc.native.gpu import availability, passes

DTYPES = ("bfloat16", "float32")


def arrays(layer, batch, dtype, values):
    """(x, weights, dy) of random numbers: `values` is a function (generator, shape) -> array."""
    random, pattern = np.random.default_rng(0), pattern_of(layer)
    side, out = layer[4], -(-layer[4] // layer[5])
    x = values(random, (batch, side, side, pattern.in_channels))
    dy = values(random, (batch, out, out, pattern.filters))
    weights = [values(random, (len(i), len(n))) for _, i, n in pattern.matrices]
    return jax.tree.map(lambda array: np.asarray(array, jnp.dtype(dtype)), (x, weights, dy))


def integers(random, shape):
    """Small integers, half of them zero, whose sums stay exact in float32."""
    return random.integers(-1, 2, shape) * random.integers(0, 2, shape)


def normal(random, shape):
    """Normal numbers of float32."""
    return random.normal(size=shape).astype("float32") * 0.1


def functions(layer, form):
    """{task: function of (x, weights, dy)}; form "Conv2D": a dense kernel in place of weights."""
    pattern, stride = pattern_of(layer), (layer[5],) * 2

    def forward(x, weights):
        if form == "Conv2D":
            return keras.ops.conv(x, weights[0], stride, "same", data_format="channels_last")
        return convolve(x, weights, pattern, form, strides=stride, padding="same")

    def gradients(x, weights, dy):
        y, back = jax.vjp(forward, x, weights)
        return (y, *back(dy))

    return {"forward": lambda x, w, dy: forward(x, w), "forward and gradients": gradients}


def poison(megabytes):
    """Fill memory of the device with NaN and give it back, so that what is not written shows."""
    jax.block_until_ready(jnp.full((megabytes, 1 << 18), np.nan, "float32"))


def check_exactness(form, until, layers, batch):
    """Values and both gradients against JAX on the CPU, all equal; return the rows."""
    rows = []
    for layer in layers:
        for dtype in DTYPES:
            if time.monotonic() > until:
                print("out of time: the other layers are not checked")
                return rows
            x, weights, dy = arrays(layer, batch, dtype, integers)
            wide = jax.tree.map(lambda a: a.astype("float32"), (x, weights, dy))
            with jax.default_device(jax.devices("cpu")[0]):
                expected = jax.jit(functions(layer, "dense")["forward and gradients"])(*wide)
            poison(64)
            program = jax.jit(functions(layer, form)["forward and gradients"]).lower(x, weights, dy)
            launches = program.as_text().count("@KerasSscLaunch")
            found = program.compile()(x, weights, dy)
            wrong = sum(
                int(np.sum(np.asarray(a) != np.asarray(b).astype(a.dtype)))
                for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True)
            )
            row = {"kind": "exactness", **described(layer), "dtype": dtype, "batch": batch}
            print(*row.values(), "launches:", launches, "wrong numbers:", wrong, flush=True)
            rows.append(row | {"form": form, "launches": launches, "wrong": wrong})
    if any(row["wrong"] for row in rows):
        raise SystemExit("the kernels are wrong: see the lines above")
    if form == "native" and any(row["launches"] != 3 for row in rows):
        print("some layers were computed by JAX: see the lines with fewer than 3 launches")
    return rows


def check_training(form, steps):
    """Losses of a small model in `fit`, by the kernels and dense, bfloat16; return one row."""
    random = np.random.default_rng(0)
    x = random.normal(size=(64, 16, 16, 3)).astype("float32")
    y = random.integers(0, 10, 64)
    losses = []
    for execution in (form, "dense"):
        keras.utils.set_random_seed(0)
        conv = {"padding": "same", "g": 8, "p": 7, "activation": "relu", "execution": execution}
        model = keras.Sequential(
            [
                keras.Input((16, 16, 3)),
                keras.layers.Conv2D(64, 3, padding="same"),
                SSCConv2D(64, 3, dtype="mixed_bfloat16", **conv),
                SSCConv2D(128, 3, strides=2, dtype="mixed_bfloat16", **conv),
                keras.layers.GlobalAveragePooling2D(),
                keras.layers.Dense(10, "softmax", dtype="float32"),
            ]
        )
        model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
        losses.append(model.fit(x, y, batch_size=32, epochs=steps, verbose=0).history["loss"])
    difference = float(np.max(np.abs(np.subtract(*losses))))
    print("training, losses differ by", difference, flush=True)
    if not difference < 0.02:
        raise SystemExit(f"the losses of a training differ: {losses}")
    return [{"kind": "training", "form": form, "difference": difference}]


def time_layer(layer, dtype, batch, megabytes, rounds, calls=10):
    """Rows of one layer: microseconds of a call, dense and by the kernels, all by turns."""
    x, weights, dy = arrays(layer, batch, dtype, normal)
    pattern = pattern_of(layer)
    dense = [np.full((*pattern.kernel_size, pattern.in_channels, pattern.filters), 0.01, x.dtype)]
    count = max(3, -(-megabytes * 2**20 // (x.nbytes + dy.nbytes)))
    xs, dys = ([jax.device_put(a) + i for i in range(count)] for a in (x, dy))
    lowered, own = {}, {}
    for form in ("dense", "layer", "class-major"):
        # Each call has weights of its own, which it must bring into the kernels' form.
        own[form] = [[jax.device_put(w) + i for w in (dense if form == "dense" else weights)]
                     for i in range(count)]  # fmt: skip
        here = contextlib.nullcontext()
        if form == "class-major":  # the channels stay as they are
            here = mock.patch.object(passes, "reordered", lambda x, _: x)
        for task, function in functions(layer, "Conv2D" if form == "dense" else "native").items():
            many = jax.jit(lambda *all_, f=function: [f(*one) for one in zip(*all_)])  # noqa: B905
            with here, channel_order.each_layer_alone():
                lowered[task, form] = many.lower(xs, own[form], dys)
    with concurrent.futures.ThreadPoolExecutor(6) as threads:
        compiled = threads.map(lambda one: one.compile(), lowered.values())
        programs = dict(zip(lowered, compiled, strict=True))
    taken = {name: [] for name in programs}
    for turn in range(rounds + 1):
        for name, program in programs.items():
            start = time.perf_counter()
            for _ in range(calls):  # so many wait in the device's queue: none waits for Python
                last = program(xs, own[name[1]], dys)
            jax.block_until_ready(last)
            if turn:
                taken[name].append((time.perf_counter() - start) / calls / count * 1e6)
    rows = []
    for (task, form), times in taken.items():
        low, median, high = np.percentile(times, [25, 50, 75])
        ratio = float(np.median(taken[task, "dense"]) / median)
        row = {"kind": "layer", **described(layer), "dtype": dtype, "batch": batch, "task": task,
               "form": form, "quartile_1_us": low, "median_us": median, "quartile_3_us": high,
               "times_as_fast_as_dense": ratio}  # fmt: skip
        print(*list(row.values())[1:11], f"{form:12}{median:9.1f} us {ratio:6.2f}x", flush=True)
        rows.append(row)
    return rows


TASKS = {"forward": "inference", "forward and gradients": "training"}
ORDERS = {"layer": "", "class-major": "_in_order"}


def write_table(rows, path):
    """Write the measured layers to the table that `execution="auto"` reads."""
    columns = path.read_text(encoding="utf-8").splitlines()[0].split(",")
    ratios = {}
    for row in rows:
        if row["kind"] == "layer" and row["form"] in ORDERS:
            layer = (row["channels"], row["filters"], row["kernel"], (row["g"], row["p"]),
                     row["side"], row["stride"])  # fmt: skip
            own = ratios.setdefault((layer, row["dtype"], row["batch"]), {})
            own[TASKS[row["task"]] + ORDERS[row["form"]]] = round(row["times_as_fast_as_dense"], 2)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        for (layer, dtype, batch), own in ratios.items():
            sizes = ((layer[5],) * 2, (layer[4],) * 2)
            key = availability.layer_key(pattern_of(layer), *sizes)
            card = {"card": jax.devices()[0].device_kind, "dtype": dtype, "batch": batch}
            writer.writerow(card | key | own)


def save(rows, path):
    """Write the rows, each with the card and the versions."""
    common = {"card": jax.devices()[0].device_kind}
    common |= {name: metadata.version(name) for name in ("jax", "keras")}
    results.save([common | row for row in rows], path, "gpu-kernels")


def main():
    """Parse the command line, check, save, time, save after each layer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=8, help="then nothing further begins")
    parser.add_argument("--batch", type=int, default=256, help="of the times")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--megabytes", type=int, default=240, help="of the rotating arrays")
    parser.add_argument("--dtypes", nargs="+", choices=DTYPES, default=DTYPES, help="to time")
    parser.add_argument("--layers", type=int, nargs="+", help="to time: indices of TIMED")
    parser.add_argument("--table", action="store_true", help="write the table of `auto`")
    parser.add_argument("--dry-run", action="store_true", help="dense in place of the kernels")
    parser.add_argument("--csv", default="gpu-kernels.csv")
    arguments = parser.parse_args()
    if keras.backend.backend() != "jax":
        raise SystemExit("gpu_check.py needs KERAS_BACKEND=jax")
    until = time.monotonic() + 60 * arguments.minutes
    timed = TIMED if arguments.layers is None else [TIMED[i] for i in arguments.layers]
    form, layers = ("dense", EXACT[:1]) if arguments.dry_run else ("native", EXACT)
    why_not = why_not_native(pattern_of(EXACT[0]), "bfloat16")
    print(f"{jax.devices()[0].device_kind}, jax {jax.__version__}: {why_not or 'kernels ready'}")
    if why_not and not arguments.dry_run:
        raise SystemExit(f"not run: {why_not}")
    if not arguments.dry_run:
        capability = jax.devices()[0].compute_capability
        compile_layers(layers, DTYPES, 5, capability)
        compile_layers(timed, arguments.dtypes, arguments.batch, capability)
        print(f"compiled, {until - time.monotonic():.0f} s are left", flush=True)
    rows = check_exactness(form, until, layers, 2 if arguments.dry_run else 5)
    rows += check_training(form, 1 if arguments.dry_run else 5)
    save(rows, arguments.csv)
    if arguments.dry_run:
        return
    for dtype in arguments.dtypes:
        for layer in timed:
            if time.monotonic() > until:
                print(f"out of time: {layer} in {dtype} is not run")
                continue
            rows += time_layer(layer, dtype, arguments.batch, arguments.megabytes, arguments.rounds)
            save(rows, arguments.csv)
    if arguments.table:
        write_table(rows, availability.MEASURED)


if __name__ == "__main__":
    main()
