"""Train a network of `keras_ssc.applications` at a sparsity, with GraSP's recipe.

python applications/train.py --model ResNet32 --sparsity 0.9 --dataset digits --run-dir runs/digits
"""

import os
import signal
import sys

from _program import door

# TensorFlow leaves oneDNN off on CPUs without AVX-512, where it would be two to three times faster.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # also while it imports
    door("train")
