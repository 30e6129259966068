"""Every form of a layer beside Conv2D: the numbers behind `execution="auto"` and the reports.

python benchmarks/forms.py --csv forms.csv              # adds its rows to the file
python benchmarks/forms.py --csv forms.csv --xla
KERAS_BACKEND=jax python benchmarks/forms.py --csv forms.csv --dtype bfloat16
python benchmarks/forms.py --csv forms.csv --table      # its rows for the package, nothing is run
"""

import argparse
import csv
import os

# Before TensorFlow is imported: every competitor gets oneDNN, unless it is turned off.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import keras
import numpy as np

from common import machine, results
from common.timing import interleaved, statistics
from keras_ssc import SSCPattern
from keras_ssc.execution import choose, convolve
from keras_ssc.execution.report import MEASURED

# In channels, filters, kernel size, g, p.
LAYERS = (
    (32, 32, 3, 8, 3), (64, 64, 3, 8, 3), (64, 64, 3, 16, 5), (128, 128, 3, 4, 1),
    (128, 128, 3, 8, 3), (128, 128, 3, 32, 11), (256, 256, 3, 8, 3), (256, 256, 3, 64, 21),
    (512, 512, 3, 4, 1), (512, 512, 3, 8, 7), (64, 384, 1, 0, 8), (256, 512, 1, 0, 4),
)  # fmt: skip

SETTINGS = {"strides": (1, 1), "padding": "same"}
SIDES = {32: 32, 64: 16, 128: 8, 256: 8, 512: 4}  # of the map, by channels
BATCH = 32


def forms(pattern, side, dtype, xla):
    """Yield (name, shapes of the weights, function) of Conv2D and of each form that can serve."""
    dense = (*pattern.kernel_size, pattern.in_channels, pattern.filters)
    yield "Conv2D", [dense], lambda x, weights: keras.ops.conv(x, weights[0], padding="same")
    compact = [(len(positions), len(filters)) for _, positions, filters in pattern.matrices]
    for form in ("dense", "grouped", "native"):
        used, _ = choose(form, pattern, **SETTINGS, sizes=(side, side), dtype=dtype)
        if used == form and not (form == "native" and xla):

            def function(x, weights, form=form):
                return convolve(x, weights, pattern, form, padding="same")

            yield form, compact, function


def passes(function, x, weights, dy, xla):
    """Return {"forward", "forward and gradients"}: callables that return when they are done."""
    if keras.backend.backend() == "jax":
        import jax

        def both(x, weights, dy):
            y, gradients = jax.vjp(function, x, weights)
            return y, gradients(dy)

        forward, both = jax.jit(function), jax.jit(both)
        return {
            "forward": lambda: jax.block_until_ready(forward(x, weights)),
            "forward and gradients": lambda: jax.block_until_ready(both(x, weights, dy)),
        }
    import tensorflow as tf

    def both(x, weights, dy):
        with tf.GradientTape() as tape:
            tape.watch([x, *weights])
            y = function(x, weights)
        return y, tape.gradient(y, [x, *weights], output_gradients=dy)

    forward, both = (tf.function(one, jit_compile=xla, autograph=False) for one in (function, both))
    return {
        "forward": lambda: forward(x, weights),
        "forward and gradients": lambda: both(x, weights, dy),
    }


def run(pattern, dtype, xla, seconds):
    """Time one layer in all forms; return its rows."""
    random = np.random.default_rng(0)
    side = SIDES[pattern.in_channels]

    def tensor(*shape):
        return keras.ops.convert_to_tensor(random.normal(size=shape), dtype)

    x, dy = (tensor(BATCH, side, side, n) for n in (pattern.in_channels, pattern.filters))
    timed = {
        name: passes(function, x, [tensor(*shape) for shape in shapes], dy, xla)
        for name, shapes, function in forms(pattern, side, dtype, xla)
    }
    sizes = "x".join(map(str, pattern.kernel_size))
    about = machine.describe() | {
        "how": keras.backend.backend() + (", XLA" if xla else ""),
        "dtype": dtype,
        "layer": f"{sizes} {pattern.in_channels}->{pattern.filters}",
        "side": side,
        "batch": BATCH,
        "g": pattern.g,
        "p": pattern.p,
    }
    rows = []
    for which in ("forward", "forward and gradients"):
        taken = interleaved({name: both[which] for name, both in timed.items()}, seconds=seconds)
        found = {name: statistics(spent) for name, spent in taken.items()}
        for name, figures in found.items():
            ratio = round(found["Conv2D"]["median_ms"] / figures["median_ms"], 2)
            rows.append(
                about | {"pass": which, "form": name} | figures | {"times_as_fast_as_conv2d": ratio}
            )
        words = "  ".join(f"{name} {one['median_ms']:.2f}" for name, one in found.items())
        print(about["how"], dtype, about["layer"], pattern.g, pattern.p, which, words, flush=True)
    return rows


def table(rows):
    """Return the rows of `measured_layers.csv`, one for each layer and form of `rows`."""
    found = {}
    for row in rows:
        if row["form"] == "Conv2D":
            continue
        key = tuple(row[name] for name in ("how", "dtype", "layer", "g", "p", "side", "form"))
        sizes, channels = row["layer"].split(" ")
        in_channels, filters = channels.split("->")
        library = row["how"].split(",")[0]
        one = found.setdefault(
            key,
            {name: row[name] for name in ("how", "dtype", "form")}
            | {"in_channels": in_channels, "filters": filters, "kernel_size": sizes.split("x")[0]}
            | {name: row[name] for name in ("g", "p", "side", "batch")}
            | {"inference": "", "training": ""}
            | {
                "measured_on": f"{row['threads']} core of {row['cpu']}, AVX-512 "
                f"{row['avx512']} width, {library} {row[library]}"
            },
        )
        column = "inference" if row["pass"] == "forward" else "training"
        one[column] = row["times_as_fast_as_conv2d"]
    return list(found.values())


def write_table(rows):
    """Write the table that the package carries."""
    with open(MEASURED, "w", newline="", encoding="utf-8") as file:
        lines = table(rows)
        writer = csv.DictWriter(file, list(lines[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)


def main():
    """Parse the command line, run, print and save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--xla", action="store_true", help="compile TensorFlow's graphs with XLA")
    parser.add_argument("--layers", nargs="*", type=int, help="places in LAYERS; all by default")
    parser.add_argument("--seconds", type=float, default=2.0, help="for each layer and pass")
    parser.add_argument("--csv", help="file to add to; a new one in benchmarks/results by default")
    parser.add_argument("--table", action="store_true", help="write the package's table from --csv")
    arguments = parser.parse_args()
    rows = results.read(arguments.csv) if arguments.csv else []
    if arguments.table:
        write_table(rows)
        return
    chosen = LAYERS if arguments.layers is None else [LAYERS[i] for i in arguments.layers]
    for layer in chosen:
        rows += run(SSCPattern(*layer), arguments.dtype, arguments.xla, arguments.seconds)
    results.save(rows, arguments.csv, "forms")


if __name__ == "__main__":
    main()
