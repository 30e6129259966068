"""The layers on which the GPU's kernels are checked and timed."""

import concurrent.futures
import multiprocessing

from keras_ssc import SSCPattern
from keras_ssc.native.gpu import build, convolution_plan, gradient_plan, order, planning, tuned
from keras_ssc.native.gpu.reads import Geometry

PASSES = ("forward", "by_input", "by_weights")
ITEMSIZE = {"bfloat16": 2, "float32": 4}

# channels, filters, kernel, (g, p), side, stride
EXACT = [
    (64, 64, 3, (8, 7), 14, 1), (64, 64, 3, (8, 3), 9, 1), (128, 128, 3, (8, 4), 7, 1),
    (128, 128, 3, (16, 5), 7, 1), (64, 128, 3, (8, 7), 14, 2), (128, 64, 3, (8, 3), 9, 2),
    (256, 256, 3, (8, 7), 7, 1), (512, 512, 3, (8, 7), 4, 1), (512, 512, 3, (8, 3), 4, 1),
    (32, 32, 3, (8, 7), 16, 1), (64, 64, 3, (8, 7), 56, 1), (16, 24, 5, (4, 3), 11, 1),
    (64, 64, 1, (0, 2), 8, 1), (128, 256, 1, (0, 4), 8, 2), (1024, 256, 1, (0, 4), 7, 1),
]  # fmt: skip
SQUARE = ((64, 56), (128, 28), (256, 14), (512, 7), (64, 32), (128, 16), (256, 8), (512, 4))
TIMED = [
    *((channels, channels, 3, (8, 7), side, 1) for channels, side in SQUARE),
    (64, 128, 3, (8, 7), 56, 2), (128, 256, 3, (8, 7), 28, 2), (256, 512, 3, (8, 7), 14, 2),
    (256, 64, 1, (0, 2), 56, 1), (1024, 256, 1, (0, 4), 14, 1),
    *((channels, channels, 3, (8, 3), side, 1) for channels, side in SQUARE),
    *((channels, channels, 3, (16, 5), side, 1) for channels, side in SQUARE),
]  # fmt: skip


def pattern_of(layer):
    """The SSCPattern of a line of the lists."""
    channels, filters, kernel, (g, p), *_ = layer
    return SSCPattern(channels, filters, kernel, g, p)


def described(layer):
    """The columns that name a layer."""
    channels, filters, kernel, (g, p), side, stride = layer
    return {"channels": channels, "filters": filters, "kernel": kernel, "g": g, "p": p,
            "side": side, "stride": stride}  # fmt: skip


def geometry_of(layer):
    """The Geometry of a layer."""
    (_, _, kernel, _, side, stride) = layer
    return Geometry((kernel,) * 2, (stride,) * 2, "same", (1, 1), (side,) * 2)


def planner_of(layer, dtype, which, batch):
    """(module that plans a pass, the first arguments of `planning.plan` after it)."""
    places, geometry = order.weight_places(pattern_of(layer)), geometry_of(layer)
    kind = gradient_plan if which == "by_weights" else convolution_plan
    reads = geometry.by_input() if which == "by_input" else geometry.forward()
    places = places.transpose(0, 2, 1) if which == "by_input" else places
    return kind, (places, reads, batch, ITEMSIZE[dtype])


def variant_of(plan, architecture):
    """What `build.cubin` takes for a plan."""
    return plan.launch.kernel, tuple(plan.launch.defines.items()), architecture


def compiled(variant):
    """The path of a compiled kernel: `variant` as `build.cubin` takes it."""
    return str(build.cubin(*variant))


def _planned(job):
    *own, shared, architecture = job
    kind, settings = planner_of(*own)
    (layer, dtype, which, batch), (*_, side, stride) = own, own[0]
    sizes = ((stride,) * 2, (side,) * 2)
    numbers = tuned.numbers_of(pattern_of(layer), *sizes, dtype, which, batch)
    plan = planning.plan(kind, *settings, shared, numbers)
    return plan and variant_of(plan, architecture)


def pool():
    """Processes on all cores."""
    return concurrent.futures.ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn"))


def compile_layers(layers, dtypes, batch, capability):
    """Compile what the layers need, on all cores; the cache keeps it."""
    architecture, shared = build.architecture_of(capability)
    jobs = [(layer, dtype, which, batch, shared, architecture)
            for layer in layers for dtype in dtypes for which in PASSES]  # fmt: skip
    with pool() as processes:
        variants = dict.fromkeys(processes.map(_planned, jobs))
        list(processes.map(compiled, [variant for variant in variants if variant]))
