"""Is `execution="auto"` ever slower than "dense"? Every sparse layer of the six networks.

python benchmarks/auto.py --network ResNet32 VGG19
"""

import argparse
import os

# Before TensorFlow is imported: every competitor gets oneDNN.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import keras
import layers
import machine
import numpy as np
import results
import rivals
from timing import interleaved, statistics

import keras_ssc

NETWORKS = {
    "ResNet18": {"sparsity": 0.75},
    "ResNet32": {"sparsity": 0.9},
    "ResNet50": {"sparsity": 0.8},
    "VGG19": {"sparsity": 0.9},
    "MobileNetV2": {},
    "ShuffleNetV2": {},
}


def distinct_layers(network):
    """Return {(shape in, pattern, strides): layer} of a network's sparse layers."""
    model = getattr(keras_ssc.applications, network)(**NETWORKS[network])
    found = {}
    for layer in model.layers:
        if isinstance(layer, keras_ssc.SSCConv2D):
            found.setdefault((tuple(layer.input.shape[1:]), layer.pattern, layer.strides), layer)
    return found


def run(network, rounds, most_pixels):
    """Time a step (forward and both gradients) of every layer, dense and auto, in turns."""
    import tensorflow as tf

    random = np.random.default_rng(0)
    rows = []
    for (shape, pattern, strides), layer in distinct_layers(network).items():
        batch = max(1, min(128, most_pixels // (shape[0] * shape[1] * shape[2])))
        x = tf.constant(random.normal(size=(batch, *shape)).astype("float32"))
        dy = tf.constant(random.normal(size=layer(x).shape).astype("float32"))
        steps = {}
        for name in ("dense", "auto"):
            own = rivals.executed(name)(layer)
            passes = layers.passes(own, x, dy)
            steps[name] = lambda passes=passes: [step() for step in passes.values()]
        seconds = interleaved(steps, rounds)
        medians = {name: statistics(taken)["median_ms"] for name, taken in seconds.items()}
        sizes = "x".join(map(str, pattern.kernel_size))
        rows.append(
            machine.describe()
            | {
                "network": network,
                "layer": f"{sizes} {pattern.in_channels}->{pattern.filters} @{shape[0]}",
                "strides": strides[0],
                "g": pattern.g,
                "p": pattern.p,
                "batch": batch,
                "used": own.execution_report(shape[:2])["used"],
                "dense_ms": medians["dense"],
                "auto_ms": medians["auto"],
                "ratio": round(medians["dense"] / medians["auto"], 2),
            }
        )
        last = rows[-1]
        print(
            f"{network:13}{last['layer']:24} /{last['strides']} ({pattern.g}, {pattern.p})"
            f" {last['used']:8}{last['dense_ms']:9.2f} -> {last['auto_ms']:8.2f} ms"
            f"  {last['ratio']}x",
            flush=True,
        )
    return rows


def main():
    """Parse the command line, run, print and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--floats", type=int, default=4_000_000, help="of x, at most")
    parser.add_argument("--csv", help="file to write; default: named by the hardware")
    arguments = parser.parse_args()
    keras.utils.set_random_seed(0)
    rows = [
        row
        for network in arguments.network
        for row in run(network, arguments.rounds, arguments.floats)
    ]
    worst = min(rows, key=lambda row: row["ratio"])
    print(f"worst: {worst['network']} {worst['layer']}: {worst['ratio']}x of dense")
    results.save(rows, arguments.csv, "auto")


if __name__ == "__main__":
    main()
