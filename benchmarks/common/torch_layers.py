"""PyTorch's dense 3x3 convolution, channels_last: the fastest dense layer on many CPUs."""

import os

import torch

torch.set_num_threads(os.cpu_count())
# PyTorch's threads would otherwise keep spinning while the next competitor runs.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def layer_passes(x, kernel, dy):
    """Return {task: callable} of a 3x3 convolution: forward and both gradients."""
    x, dy = (
        torch.from_numpy(a.transpose(0, 3, 1, 2)).to(memory_format=torch.channels_last)
        for a in (x, dy)
    )
    w = torch.from_numpy(kernel.transpose(3, 2, 0, 1)).to(memory_format=torch.channels_last)

    def backward(mask):
        settings = ([0], [1, 1], [1, 1], [1, 1], False, [0, 0], 1)
        return lambda: torch.ops.aten.convolution_backward(dy, x, w, *settings, mask)

    return {
        "forward": lambda: torch.nn.functional.conv2d(x, w, padding=1),
        "gradient by input": backward([True, False, False]),
        "gradient by weights": backward([False, True, False]),
    }
