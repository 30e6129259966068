"""Convolutions in small integers, so that every product and sum is exact: for tests of the GPU."""

import numpy as np
import reference

from keras_ssc import SSCPattern
from keras_ssc.native.gpu import convolution_plan, gradient_plan, order, planning
from keras_ssc.native.gpu.reads import Geometry

H100 = 232448  # bytes of shared memory of a block
EXPECTED = ("y", "dx", "dw")


class Case:
    """A convolution, its arrays in the layer's order, and what the reference makes of them."""

    def __init__(self, pattern, size=(6, 5), batch=3, strides=1, dilation=1, padding="same"):
        self.pattern = pattern = SSCPattern(**pattern)
        geometry = (pattern.kernel_size, (strides,) * 2, padding, (dilation,) * 2, size)
        self.geometry, self.batch = Geometry(*geometry), batch
        random = np.random.default_rng(0)
        kernel = random.integers(-2, 3, pattern.mask().shape) * pattern.mask()
        self.x = random.integers(-2, 3, (batch, *size, pattern.in_channels)).astype(float)
        pads = ((0, 0), (0, 0)) if isinstance(padding, str) else padding
        padded = np.pad(self.x, ((0, 0), *pads, (0, 0)))
        same = ((strides,) * 2, padding if isinstance(padding, str) else "valid", (dilation,) * 2)
        self.y = reference.convolution(padded, kernel.astype(float), 0.0, *same)
        self.dy = random.integers(-2, 3, self.y.shape).astype(float)
        dx, dkernel, _ = reference.convolution_gradients(
            padded, kernel.astype(float), self.dy, *same
        )
        rows, columns = (slice(own[0], own[0] + side) for own, side in zip(pads, size, strict=True))
        self.dx = dx[:, rows, columns]
        self.weights, self.dw = (
            np.concatenate([k.ravel()[pattern.flat_indices(i, n)].ravel()
                            for _, i, n in pattern.matrices])
            for k in (kernel, dkernel)
        )  # fmt: skip
        self.inputs, self.outputs = order.input_order(pattern), order.output_order(pattern)

    def passes(self, convolve, weight_gradient, itemsize, shared=H100):
        """Return {"y", "dx", "dw"} by two functions (launch, arrays...) -> array."""
        places = order.weight_places(self.pattern)
        forward, by_input = self.geometry.forward(), self.geometry.by_input()
        turned = places.transpose(0, 2, 1)
        settings = (self.batch, itemsize, shared)
        found = {}
        for name, x, own, reads, before, after in (
            ("y", self.x, places, forward, self.inputs, self.outputs),
            ("dx", self.dy, turned, by_input, self.outputs, self.inputs),
        ):
            plan = planning.plan(convolution_plan, own, reads, *settings)
            packed = np.append(self.weights, 0)[plan.packing]
            found[name] = np.empty((*x.shape[:1], *reads.out_size, own.shape[2]))
            found[name][..., after] = convolve(plan.launch, x[..., before], packed)
        plan = planning.plan(gradient_plan, places, forward, *settings)
        sums = weight_gradient(plan.launch, self.x[..., self.inputs], self.dy[..., self.outputs])
        assert sums.size == plan.sums
        found["dw"] = sums[plan.picking]
        return found


def pattern(channels=64, filters=64, g=8, p=7, kernel_size=3, **more):
    """The arguments of an SSCPattern."""
    sizes = {"in_channels": channels, "filters": filters, "kernel_size": kernel_size}
    return {**sizes, "g": g, "p": p, **more}
