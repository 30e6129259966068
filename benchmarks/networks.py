"""Whole networks: a training step and inference, SSC against what a user would pick instead.

python benchmarks/networks.py --network ResNet32 --task train
python benchmarks/networks.py --network VGG19 --task infer --rounds 20
"""

import argparse
import os
import tempfile
from pathlib import Path

# Before TensorFlow is imported: every competitor gets oneDNN.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import deepsparse_rival
import keras
import machine
import numpy as np
import results
import rivals
from timing import interleaved, statistics

import keras_ssc

GRAPH, XLA = False, True


def competitors(network, task, sparsities, classes):
    """Yield (name, keras model, jit_compile)."""
    build = getattr(keras_ssc.applications, network)
    first = build(sparsity=sparsities[0], distribution="uniform", classes=classes)
    dense = rivals.in_keras(first, rivals.dense)
    yield "dense, graph", dense, GRAPH
    if task == "infer":
        yield "dense, folded", keras_ssc.fold(dense), GRAPH
    yield "dense, XLA", rivals.in_keras(first, rivals.dense), XLA
    yield "masked dense", rivals.in_keras(first, rivals.masked), GRAPH
    yield "separable", rivals.in_keras(first, rivals.separable), GRAPH
    yield "thinner dense", rivals.thinner(first, first.count_params()), GRAPH
    yield "Conv2D(groups=g)", rivals.in_keras(first, rivals.groups), GRAPH
    for sparsity in sparsities:
        model = build(sparsity=sparsity, distribution="uniform", classes=classes)
        for execution in ("native", "grouped", "auto"):
            if execution == "native" or sparsity == sparsities[0]:
                name = f"SSC {sparsity}, {execution}"
                yield name, rivals.with_layers(model, rivals.executed(execution)), GRAPH
        if task == "infer":
            yield f"SSC {sparsity}, folded", keras_ssc.fold(model), GRAPH


def make_step(model, jit_compile, task, x, y):
    """Return a callable that does one training step or one inference and waits for it."""
    model.compile(
        keras.optimizers.SGD(0.01, momentum=0.9),
        "sparse_categorical_crossentropy",
        jit_compile=jit_compile,
    )
    if task == "train":
        return lambda: float(np.asarray(model.train_on_batch(x, y)))
    return lambda: model.predict_on_batch(x)


def torch_step(network, task, x, y):
    """The same for PyTorch's dense network in channels_last, or None where there is no torch."""
    try:
        import torch_rivals
    except ImportError:
        return None
    return torch_rivals.make_step(network, task, x, y)


def onnx_steps(network, sparsities, x):
    """Inference in ONNX Runtime of the dense network and of exported SSC; {} without it."""
    try:
        import onnxruntime
        import tf2onnx  # noqa: F401
    except ImportError:
        print("ONNX Runtime: not run (not installed)")
        return {}
    build, steps = getattr(keras_ssc.applications, network), {}
    for sparsity in (0, *sparsities):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            keras_ssc.export(build(sparsity=sparsity, distribution="uniform"), path, "onnx")
            options = onnxruntime.SessionOptions()
            options.add_session_config_entry("session.intra_op.allow_spinning", "0")
            session = onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])
        name = f"SSC {sparsity}" if sparsity else "dense"
        feed = {session.get_inputs()[0].name: x}
        steps[f"ONNX Runtime, {name}"] = lambda s=session, feed=feed: s.run(None, feed)
    return steps


def deepsparse_steps(python, network, sparsities, batch):
    """Inference in DeepSparse of SSC networks as masked dense ones; {} without `python`."""
    if python is None:
        print("DeepSparse: not run (no --deepsparse-python)")
        return {}
    build, steps = getattr(keras_ssc.applications, network), {}
    for sparsity in sparsities:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            masked = keras_ssc.densify(build(sparsity=sparsity, distribution="uniform"))
            keras_ssc.export(masked, path, "onnx")
            step = deepsparse_rival.start(python, path, batch)
        steps[f"DeepSparse, masked {sparsity}"] = step
    return steps


def run(network, task, sparsities, rounds, batch, only=None, deepsparse_python=None):
    """Time all competitors; return the rows of the result."""
    random = np.random.default_rng(0)
    x = random.normal(size=(batch, 32, 32, 3)).astype("float32")
    y = random.integers(0, 10, batch)
    steps, rows = {}, {}
    for name, model, jit_compile in competitors(network, task, sparsities, classes=10):
        if only and not any(word in name for word in only):
            continue
        steps[name] = make_step(model, jit_compile, task, x, y)
        summary = keras_ssc.summary(model)
        rows[name] = {
            "parameters": model.count_params(),
            "kernel_sparsity": round(summary.network_sparsity, 4),
            "training_bytes": 3 * 4 * sum(int(np.prod(v.shape)) for v in model.trainable_weights),
        }
    step = torch_step(network, task, x, y)
    if step and (not only or "PyTorch" in only):
        steps["PyTorch dense, channels_last"] = step
        rows["PyTorch dense, channels_last"] = {}
    if task == "infer" and (not only or "ONNX" in only):
        others = onnx_steps(network, sparsities, x)
        others |= deepsparse_steps(deepsparse_python, network, sparsities, batch)
        steps |= others
        rows |= {name: {} for name in others}
    seconds = interleaved(steps, rounds, progress=print, pause=0.3)
    common = machine.describe() | {"network": network, "task": task, "batch": batch}
    return [
        common | {"competitor": name} | rows[name] | statistics(taken)
        for name, taken in seconds.items()
    ]


def main():
    """Parse the command line, run, print and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", default="ResNet32", choices=["ResNet32", "VGG19"])
    parser.add_argument("--task", default="train", choices=["train", "infer"])
    parser.add_argument("--sparsity", type=float, nargs="+", default=[0.9, 0.95, 0.98])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--only", nargs="+", help="words of the competitors to run")
    parser.add_argument("--deepsparse-python", help="interpreter of DeepSparse's environment")
    parser.add_argument("--csv", help="file to write; default: named by the hardware")
    arguments = parser.parse_args()
    rows = run(
        arguments.network,
        arguments.task,
        arguments.sparsity,
        arguments.rounds,
        arguments.batch,
        arguments.only,
        arguments.deepsparse_python,
    )
    results.print_table(rows)
    results.save(rows, arguments.csv, f"{arguments.network.lower()}-{arguments.task}")


if __name__ == "__main__":
    main()
