"""DeepSparse, an inference engine for unstructured sparsity, on an ONNX file.

Installed as `pip install deepsparse==1.8.0` in an environment of its own (it wants older packages
than TensorFlow). There this file is run, by `networks.py --deepsparse-python`, as

python -m common.deepsparse_engine model.onnx images.npy threads
"""

import sys

from common.piped import serve


def make_step(path, images, threads):
    """Return a callable that does one inference."""
    import deepsparse
    import numpy as np

    x = np.load(images)
    engine = deepsparse.compile_model(path, batch_size=len(x), num_cores=threads)
    return lambda: engine.run([x])


if __name__ == "__main__":
    path, images, threads = sys.argv[1:]
    serve("deepsparse", lambda: make_step(path, images, int(threads)))
