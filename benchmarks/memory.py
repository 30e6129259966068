"""What a training step keeps in memory, dense and sparse: counted, and the process's peak.

python benchmarks/memory.py --network VGG19 --sparsity 0.9
"""

import argparse
import json
import os
import resource
import subprocess
import sys

os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def measure(network, sparsity, batch):
    """Train a few steps in this process; return its bytes as a dict."""
    import numpy as np

    import keras_ssc
    from keras_ssc.training import CoupledSGD

    def peak():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    before = peak()
    model = getattr(keras_ssc.applications, network)(sparsity=sparsity, distribution="uniform")
    model.compile(CoupledSGD(0.01, momentum=0.9), "sparse_categorical_crossentropy")
    random = np.random.default_rng(0)
    x = random.normal(size=(batch, 32, 32, 3)).astype("float32")
    for _ in range(3):
        model.train_on_batch(x, random.integers(0, 10, batch))

    def bytes_of(variables):
        return int(sum(np.asarray(variable).nbytes for variable in variables))

    weights = bytes_of(model.trainable_variables)
    slots = bytes_of(model.optimizer.variables)
    # A gradient is as large as its variable.
    return {"weights": weights, "optimizer": slots, "gradients": weights, "peak": peak() - before}


def main():
    """Measure each network in a process of its own; print and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", nargs="+", default=["ResNet32", "VGG19"])
    parser.add_argument("--sparsity", type=float, nargs="+", default=[0.9, 0.95, 0.98])
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 128])
    parser.add_argument("--one", action="store_true", help="measure here and print JSON")
    parser.add_argument("--csv", help="file to write; default: named by the hardware")
    arguments = parser.parse_args()
    if arguments.one:
        figures = measure(arguments.network[0], arguments.sparsity[0], arguments.batch[0])
        print(json.dumps(figures))
        return
    from common import machine, results

    rows = []
    for network in arguments.network:
        for batch in arguments.batch:
            dense = None
            for sparsity in (0.0, *arguments.sparsity):
                words = ["--one", "--network", network, "--sparsity", str(sparsity)]
                command = [sys.executable, __file__, *words, "--batch", str(batch)]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                row = json.loads(done.stdout.strip().splitlines()[-1])
                kept = row["weights"] + row["optimizer"] + row["gradients"]
                dense = dense or (kept, row["peak"])
                row |= {
                    "kept_share": round(kept / dense[0], 4),
                    "peak_share": round(row["peak"] / dense[1], 4),
                }
                common = {"network": network, "batch": batch, "sparsity": sparsity}
                rows.append(machine.describe() | common | row)
                print(
                    f"{network} {sparsity:<5} batch {batch:<4} weights, optimizer, gradients "
                    f"{kept / 1e6:8.1f} MB ({100 * row['kept_share']:.1f} %)   "
                    f"peak {row['peak'] / 1e6:7.0f} MB ({100 * row['peak_share']:.0f} %)",
                    flush=True,
                )
    results.save(rows, arguments.csv, "memory")


if __name__ == "__main__":
    main()
