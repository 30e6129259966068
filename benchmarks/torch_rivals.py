"""PyTorch's dense networks and layers, channels_last: the fastest dense rival on many CPUs."""

import os

import torch
from torch import nn

torch.set_num_threads(os.cpu_count())
# PyTorch's threads would otherwise go on spinning while the next competitor runs.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def _conv_bn_relu(channels, filters, strides=1):
    return [
        nn.Conv2d(channels, filters, 3, strides, 1, bias=False),
        nn.BatchNorm2d(filters),
        nn.ReLU(inplace=True),
    ]


class Block(nn.Module):
    """Two 3x3 convolutions and the shortcut."""

    def __init__(self, channels, filters, strides):
        super().__init__()
        second = _conv_bn_relu(filters, filters)[:2]
        self.main = nn.Sequential(*_conv_bn_relu(channels, filters, strides), *second)
        self.shortcut = nn.Identity()
        if strides > 1 or channels != filters:
            projection = nn.Conv2d(channels, filters, 1, strides, bias=False)
            self.shortcut = nn.Sequential(projection, nn.BatchNorm2d(filters))

    def forward(self, x):
        """Sum, then ReLU."""
        return torch.relu(self.main(x) + self.shortcut(x))


def resnet32(classes=10):
    """ResNet-32 in GraSP's double width."""
    layers, channels = _conv_bn_relu(3, 32), 32
    for filters in (32, 64, 128):
        for block in range(5):
            layers.append(Block(channels, filters, 2 if block == 0 and filters > 32 else 1))
            channels = filters
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, classes))


def vgg19(classes=10):
    """VGG-19 for small images with BatchNorm."""
    layers, channels = [], 3
    for stage, (number, filters) in enumerate(((2, 64), (2, 128), (4, 256), (4, 512), (4, 512))):
        if stage:
            layers.append(nn.MaxPool2d(2))
        for _ in range(number):
            layers += _conv_bn_relu(channels, filters)
            channels = filters
    return nn.Sequential(*layers, nn.AvgPool2d(2), nn.Flatten(), nn.Linear(512, classes))


def make_step(network, task, x, y):
    """Return a callable that does one training step or one inference."""
    model = {"ResNet32": resnet32, "VGG19": vgg19}[network]().to(memory_format=torch.channels_last)
    x = torch.from_numpy(x.transpose(0, 3, 1, 2)).to(memory_format=torch.channels_last)
    y = torch.from_numpy(y)
    if task == "infer":
        model.eval()

        def infer():
            with torch.inference_mode():
                return model(x)

        return infer
    # torch.optim would load Triton, whose LLVM and TensorFlow's can't be in one process.
    momenta = [torch.zeros_like(parameter) for parameter in model.parameters()]

    def train():
        loss = nn.functional.cross_entropy(model(x), y)
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        with torch.no_grad():
            for parameter, momentum, gradient in zip(
                model.parameters(), momenta, gradients, strict=True
            ):
                momentum.mul_(0.9).add_(gradient)
                parameter.sub_(momentum, alpha=0.01)
        return loss.item()

    return train


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
