"""The words of docs/performance.md between its tables."""

INTRODUCTION = """# How fast

Made by `benchmarks/page.py` from the CSV files in `benchmarks/results`; no number here was copied
by hand. A cell reads: how many times as fast as the fastest dense network of the same run, the
median, and in brackets the quartiles. Below 1 is slower. The fastest dense one is bold: it may be
plain Keras, folded Keras, the dense network as one operation of ours, PyTorch, ONNX Runtime or
DeepSparse. An empty cell is a competitor that has no such pass."""

FORMS = """On JAX there are kernels of our own for NVIDIA GPUs: [On a GPU](gpu.md) has their times.
Elsewhere on an XLA device (GPU, TPU) SSC is computed as a dense convolution, and is not faster than
one: what remains is the smaller number of weights, optimizer states and bytes. `"grouped"` and
`"gather"` are there to be tried; both were slower in all that was measured. Here without our
kernels, each step started from Python, which takes a good part of these times:"""

HOW = """## How it is measured

- Networks at the paper's settings (`benchmarks/common/subjects.py`), distribution `"uniform"`;
  float32; random images, the same for all; SGD with momentum 0.9; Keras's own choice of compile
  mode for dense and sparse alike: `train_on_batch` and `predict_on_batch`, with the way from NumPy
  and back.
- All competitors take turns in one process, or in one of their own that waits on a pipe (PyTorch,
  DeepSparse); in each round in a new order. Compiling and two calls come before. A short step is
  called several times a turn, after one call that is not counted. Garbage is not collected
  meanwhile.
- "Folded": BatchNormalization inside the convolutions, for dense (Keras and PyTorch) and for SSC.
  "Optimized": `keras_ssc.optimize_for_inference`, the folded network as one operation of ours; for
  dense networks, too.
  "Thinner dense": all widths scaled to as many weights as SSC of the first setting.
- "bfloat16", where there are such rows: `optimize_for_inference(..., dtype="bfloat16")` (sums in
  float32), and the dense network under Keras's policy "mixed_bfloat16". Ratios of these, too, are
  against the fastest dense network in float32.
- "Masked" in DeepSparse: SSC's weights as a dense network with zeros, which that engine skips.
- "AVX-512 half": 512-bit multiply-adds at the rate of 256-bit ones, by measurement. With
  `--widest avx2` only our kernels do without AVX-512, the dense competitors keep it;
  `ONEDNN_MAX_CPU_ISA=AVX2` in the environment takes it from oneDNN, too, and is noted.
- Rows of other code or versions are run anew; a run that was cut off resumes where it stopped.

```sh
python benchmarks/networks.py --networks ResNet32 --batches 128 --passes infer train --repeats 9 \\
    --threads all --output networks.csv
KERAS_BACKEND=jax python benchmarks/networks.py --quick
python benchmarks/auto.py --networks ResNet32 --quick
python benchmarks/page.py networks.csv
```

PyTorch and DeepSparse (`pip install deepsparse==1.8.0`) may be in environments of their own:
`--torch-python` and `--deepsparse-python` name their interpreters. What is not installed is "not
run", and then is not among the dense networks that a ratio is against."""

BEFORE = """## Before

Results of earlier programs, with other columns and competitors (XLA, masked, separable and grouped
convolutions; of an earlier state of the kernels): `benchmarks/results/before`."""
