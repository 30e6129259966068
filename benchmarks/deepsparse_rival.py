"""DeepSparse on a masked network: its own environment, in turn with the others by a pipe.

Installed as `pip install deepsparse==1.8.0` in an environment of its own (it wants older packages
than TensorFlow). There this file is run as

python benchmarks/deepsparse_rival.py model.onnx 128

and does one inference for each line on its standard input; `start` does that from the benchmark.
"""

import subprocess
import sys


def serve(path, batch):
    """Load the model, then infer once for each line read, and answer with a line."""
    import deepsparse
    import numpy as np

    engine = deepsparse.compile_model(path, batch_size=batch)
    x = np.random.default_rng(0).normal(size=(batch, 32, 32, 3)).astype("float32")
    engine.run([x])
    print("ready", flush=True)
    for _ in sys.stdin:
        engine.run([x])
        print("done", flush=True)


def start(python, path, batch):
    """Return a callable that does one inference in another environment's Python and waits.

    Args:
        python: path of that environment's interpreter.
        path: the ONNX file; it must stay there until this returns.
        batch: int, images a call.
    """
    process = subprocess.Popen(
        [python, __file__, str(path), str(batch)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    _wait_for("ready", process)

    def step():
        process.stdin.write("go\n")
        process.stdin.flush()
        _wait_for("done", process)

    return step


def _wait_for(word, process):
    for line in process.stdout:  # the engine prints lines of its own
        if line.strip() == word:
            return
    raise RuntimeError(f"DeepSparse ended with code {process.wait()}")


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
