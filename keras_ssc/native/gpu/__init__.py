"""`execution="native"` on an NVIDIA GPU: our own kernels inside XLA, compiled on first use for JAX.

order, blocks, tiles, reads: which channels, pixels and weights meet; convolution_plan,
gradient_plan: the ways to launch source/convolve.cu or source/weight_gradient.cu; planning, tuned,
costs: which one is fastest; passes, lowering, ordered: in JAX; nvrtc, build: compiled and kept.
"""
