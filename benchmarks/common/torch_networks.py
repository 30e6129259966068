"""A Keras network in PyTorch, channels_last: the same layers, sizes and weights.

`describe` writes down a dense Keras network, and this file, run in a process of its own by
`networks.py`, as

python -m common.torch_networks network.npz images.npy labels.npy train|infer threads

makes PyTorch's from it and does one step for each line on its standard input.
"""

import json
import os
import sys

from common.piped import serve


def describe(model, path):
    """Write the layers and weights of a dense functional Keras model, channels last, to `path`.

    Padding layers become arguments of what follows them, as one writes it in PyTorch.
    """
    import keras
    import numpy as np

    places, steps, arrays = {id(model.inputs[0]): (0, 0)}, [], {}  # tensor -> (place, padding)
    outputs = 1
    for layer in model.layers:
        if isinstance(layer, keras.layers.InputLayer):
            continue
        kind, config = type(layer).__name__, layer.get_config()
        inputs = layer.input if isinstance(layer.input, list) else [layer.input]
        if kind == "ZeroPadding2D":
            ((top, bottom), (left, right)) = config["padding"]
            if not top == bottom == left == right:
                raise ValueError(f"no symmetrical padding: {layer.name}")
            places[id(layer.output)] = (places[id(inputs[0])][0], top)
            continue
        padding = places[id(inputs[0])][1]
        if config.get("padding") == "same":
            padding = (config["kernel_size"][0] - 1) // 2
        step = {"kind": kind, "inputs": [places[id(x)][0] for x in inputs], "padding": padding}
        known = ("strides", "pool_size", "epsilon", "momentum", "activation", "use_bias")
        steps.append(step | {name: config[name] for name in known if name in config})
        for number, array in enumerate(layer.get_weights()):
            arrays[f"{len(steps) - 1}_{number}"] = array
        results = layer.output if isinstance(layer.output, (list, tuple)) else [layer.output]
        for number, result in enumerate(results):
            places[id(result)] = (outputs + number, 0)
        outputs += len(results)
    np.savez(path, steps=json.dumps(steps), **arrays)


def network(path):
    """Return the `torch.nn.Module`."""
    import numpy as np
    import torch
    from torch import nn

    file = np.load(path)
    steps = json.loads(str(file["steps"]))

    def convolution(step, kernel, *bias):
        depthwise = step["kind"] == "DepthwiseConv2D"
        # (height, width, in, out), depthwise (height, width, channels, 1)
        kernel = kernel.transpose((2, 3, 0, 1) if depthwise else (3, 2, 0, 1))
        filters, size = kernel.shape[0], kernel.shape[2:]
        layer = nn.Conv2d(
            filters if depthwise else kernel.shape[1],
            filters,
            size,
            tuple(step["strides"]),
            step["padding"],
            groups=filters if depthwise else 1,
            bias=bool(bias),
        )
        return filled(layer, kernel, *bias)

    def filled(layer, *arrays):
        for tensor, array in zip((layer.weight, layer.bias), arrays, strict=False):
            tensor.data = torch.from_numpy(np.ascontiguousarray(array))
        return layer

    def normalization(step, gamma, beta, mean, variance):
        layer = nn.BatchNorm2d(len(gamma), step["epsilon"], 1 - step["momentum"])
        layer.running_mean.copy_(torch.from_numpy(mean))
        layer.running_var.copy_(torch.from_numpy(variance))
        return filled(layer, gamma, beta)

    def dense(step, kernel, bias):
        return filled(nn.Linear(*kernel.shape), kernel.T, bias)

    makers = {
        "Conv2D": convolution,
        "DepthwiseConv2D": convolution,
        "BatchNormalization": normalization,
        "Dense": dense,
    }

    def shuffle_split(x):
        batch, channels, height, width = x.shape
        x = x.view(batch, 2, channels // 2, height, width).transpose(1, 2)
        return x.reshape(batch, channels, height, width).chunk(2, dim=1)

    def function(step):
        """What is no module."""
        return {
            "Add": lambda x, y: x + y,
            "ReLU": lambda x: torch.relu_(x),
            "Concatenate": lambda *parts: torch.cat(parts, dim=1),
            "ShuffleSplit": shuffle_split,
            "GlobalAveragePooling2D": lambda x: x.mean(dim=(2, 3)),
            "MaxPooling2D": lambda x: nn.functional.max_pool2d(
                x, step["pool_size"], step["strides"], step["padding"]
            ),
            "Activation": lambda x: x,  # softmax: part of PyTorch's loss
        }[step["kind"]]

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.made = nn.ModuleDict()
            self.plan = []
            for number, step in enumerate(steps):
                own = [file[name] for name in _names(file, number)]
                if step["kind"] in makers:
                    self.made[str(number)] = call = makers[step["kind"]](step, *own)
                else:
                    call = function(step)
                relu = step["kind"].endswith("Conv2D") and step["activation"] == "relu"
                self.plan.append((call, step["inputs"], relu))
            self.last_use = {}
            for number, (_, inputs, _) in enumerate(self.plan):
                self.last_use |= dict.fromkeys(inputs, number)

        def forward(self, x):
            values, place = {0: x}, 1
            for number, (call, inputs, relu) in enumerate(self.plan):
                y = call(*(values[one] for one in inputs))
                y = torch.relu_(y) if relu else y
                for one in y if isinstance(y, tuple) else (y,):
                    values[place] = one
                    place += 1
                for one in inputs:  # memory is free again, as in a hand-written network
                    if self.last_use[one] == number:
                        values.pop(one, None)
            return y

    return Network().to(memory_format=torch.channels_last)


def _names(file, number):
    found = [name for name in file.files if name.startswith(f"{number}_")]
    return sorted(found, key=lambda name: int(name.split("_")[1]))


def make_step(path, images, labels, task, threads):
    """Return a callable that does one training step or one inference."""
    import numpy as np
    import torch

    torch.set_num_threads(threads)
    model = network(path)
    x = torch.from_numpy(np.load(images).transpose(0, 3, 1, 2))
    x = x.to(memory_format=torch.channels_last)
    y = torch.from_numpy(np.load(labels))
    if task == "infer":
        model.eval()

        def infer():
            with torch.inference_mode():
                return torch.softmax(model(x), 1).numpy()

        return infer
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)

    def train():
        optimizer.zero_grad(set_to_none=True)
        loss = torch.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    return train


if __name__ == "__main__":
    # Idle threads would keep spinning while the next competitor runs.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    *files, task, threads = sys.argv[1:]
    serve("torch", lambda: make_step(*files, task, int(threads)))
