"""Single 3x3 layers: forward and each gradient, SSC against what a user would pick instead.

python benchmarks/layers.py --layer 32x32 64x16 128x8 512x4
"""

import argparse
import os

# Before TensorFlow is imported: every competitor gets oneDNN.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import keras
import numpy as np

from common import alternatives, machine, results
from common.timing import interleaved, statistics
from keras_ssc import SSCConv2D

TASKS = ("forward", "gradient by input", "gradient by weights")


def passes(layer, x, dy, jit_compile=False):
    """Return {task: callable} of a Keras layer."""
    import tensorflow as tf

    def gradient(by_input):
        def run():
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = layer(x)
            sources = x if by_input else [v.value for v in layer.trainable_variables]
            return tape.gradient(y, sources, output_gradients=dy)

        return tf.function(run, jit_compile=jit_compile)

    forward = tf.function(lambda: layer(x), autograph=False, jit_compile=jit_compile)
    return dict(zip(TASKS, (forward, gradient(True), gradient(False)), strict=True))


def competitors(channels, sparsities):
    """Yield (name, layer, jit_compile)."""
    layers = []
    for sparsity in sparsities:
        layer = SSCConv2D(channels, 3, padding="same", use_bias=False, sparsity=sparsity)
        layer.build((None, None, None, channels))
        layers.append((sparsity, layer))
    first = layers[0][1]
    yield "dense, graph", alternatives.dense(first), False
    yield "dense, XLA", alternatives.dense(first), True
    yield "masked dense", alternatives.masked(first), False
    yield "separable", alternatives.separable(first), False
    for sparsity, layer in layers:
        setting = f"SSC {sparsity} ({layer.pattern.g}, {layer.pattern.p})"
        yield f"{setting}, native", alternatives.executed("native")(layer), False
        if sparsity == sparsities[0]:
            yield f"{setting}, grouped", alternatives.executed("grouped")(layer), False


def roofline(layer, shape, rates):
    """Least milliseconds of one pass: exact multiply-adds, each array touched once."""
    batch, height, width, channels = shape
    if isinstance(layer, SSCConv2D):
        weights = layer.pattern.weight_count
    else:
        weights = sum(int(np.prod(v.shape)) for v in layer.trainable_weights)
    flops = 2 * batch * height * width * weights
    touched = 4 * (2 * batch * height * width * channels + weights)
    return round(max(flops / rates["gflops"], touched / rates["copy_gb"]) / 1e6, 3)


def run(name, sparsities, rounds, batch, rates):
    """Time all competitors on one layer, "channels x side"; return the rows."""
    import tensorflow as tf

    channels, side = map(int, name.split("x"))
    shape = (batch, side, side, channels)
    random = np.random.default_rng(0)
    x, dy = (random.normal(size=shape).astype("float32") for _ in range(2))
    steps, limits = {}, {}
    for competitor, layer, jit_compile in competitors(channels, sparsities):
        layer.build(shape)
        for task, step in passes(layer, tf.constant(x), tf.constant(dy), jit_compile).items():
            steps[task, competitor] = step
            limits[task, competitor] = roofline(layer, shape, rates)
    try:
        from common import torch_layers

        kernel = random.normal(size=(3, 3, channels, channels)).astype("float32")
        for task, step in torch_layers.layer_passes(x, kernel, dy).items():
            steps[task, "PyTorch dense, channels_last"] = step
    except ImportError:
        print("PyTorch: not run (not installed)")
    seconds = interleaved(steps, rounds)
    common = machine.describe() | {"layer": name, "batch": batch} | rates
    rows = []
    for task in TASKS:
        own = {who: statistics(taken) for (of, who), taken in seconds.items() if of == task}
        rows += results.against_fastest_dense(
            [
                common
                | {"task": task, "competitor": who, "kind": kind(who)}
                | {"roofline_ms": limits.get((task, who))}
                | found
                for who, found in own.items()
            ]
        )
    return rows


def kind(competitor):
    """ "dense" for all that compute the same dense layer."""
    return "dense" if competitor.startswith(("dense", "PyTorch")) else "other"


def main():
    """Parse the command line, run, print and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layer", nargs="+", default=["32x32", "64x16", "128x8", "512x4"])
    parser.add_argument("--sparsity", type=float, nargs="+", default=[0.9, 0.95, 0.98])
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--csv", help="file to write; default: named by the hardware")
    arguments = parser.parse_args()
    keras.utils.set_random_seed(0)
    rates, rows = machine.rates(), []
    for name in arguments.layer:
        own = run(name, arguments.sparsity, arguments.rounds, arguments.batch, rates)
        for task in TASKS:
            print(f"\n{name}, {task}")
            results.print_table([row for row in own if row["task"] == task])
        rows += own
    results.save(rows, arguments.csv, "layers")


if __name__ == "__main__":
    main()
