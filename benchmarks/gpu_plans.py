"""Times every plan that the GPU's kernels have for a layer: what the choice among them rests on.

On a machine with an NVIDIA GPU and PyTorch, which holds the arrays and is the dense convolution
(cuDNN, channels last, its benchmark mode) to compare with:

KERAS_BACKEND=jax python benchmarks/gpu_plans.py --csv gpu-plans.csv

`--table` writes the fastest of each pass to the table from which layers take theirs.
The CSV has these, and how many plans there were; `--every` names a file for all.

Channels are in class-major order before and after. Device times: the median replay of a CUDA graph
of calls over rotating arrays, larger than the L2 cache in all. Each plan is checked before: what it
writes is NaN at first, and is compared with a dense convolution in float32.
"""

import argparse
import dataclasses
import os
import time

os.environ.setdefault("KERAS_BACKEND", "jax")

import numpy as np

from common import results
from common.cuda_driver import REGISTERS, SPILLED, Driver, Pass, graph_time
from common.gpu_layers import (
    ITEMSIZE,
    PASSES,
    TIMED,
    compiled,
    described,
    geometry_of,
    pattern_of,
    planner_of,
    pool,
    variant_of,
)
from keras_ssc.native.build import CannotBuild
from keras_ssc.native.gpu import build, order, tuned

# Norm of the difference / norm of the result: one rounding of bfloat16, of tf32.
ALLOWED = {"bfloat16": 4e-3, "float32": 1.5e-3}


def plans_of(job):
    """All plans of a pass: list of (about, plan).

    `job`: (layer, dtype, which, batch, shared memory, within).
    """
    layer, dtype, which, batch, shared, within = job
    kind, settings = planner_of(layer, dtype, which, batch)
    choices = list(kind.all_choices(*settings, shared))
    least = min((choice.cost for choice in choices), default=0)
    found, first = [], {}  # the first plan for each of a few lists of steps, which takes longest
    for choice in choices:
        if choice.cost > within * least:
            continue
        steps = choice.work.steps if which == "by_weights" else choice.steps
        if id(steps) not in first:
            first[id(steps)] = kind.made(choice, *settings)
        own = kind.launch_of(choice, *settings)
        plan = dataclasses.replace(first[id(steps)], launch=own)
        about = {"cost": choice.cost / least, "shared": own.shared, **kind.numbers_of(choice)}
        found.append((about, plan))
    return found


class Layer:
    """The arrays of a layer, its dense convolution, and what its passes must give."""

    def __init__(self, torch, layer, dtype, batch, megabytes):
        self.torch, self.layer, self.dtype = torch, layer, dtype
        pattern, geometry = pattern_of(layer), geometry_of(layer)
        kind = getattr(torch, dtype)
        torch.manual_seed(0)
        shape_x = (batch, *geometry.size, pattern.in_channels)
        shape_y = (batch, *geometry.out_size, pattern.filters)
        count = max(
            3, -(-megabytes * 2**20 // (ITEMSIZE[dtype] * (np.prod(shape_x) + np.prod(shape_y))))
        )
        self.xs, self.dys = (
            [torch.randn(shape, device="cuda").to(kind) for _ in range(count)]
            for shape in (shape_x, shape_y)
        )
        self.outs = {"forward": [torch.empty_like(a) for a in self.dys],
                     "by_input": [torch.empty_like(a) for a in self.xs]}  # fmt: skip
        places = order.weight_places(pattern)
        scale = (places >= 0).sum(axis=(0, 1)).mean() ** -0.5
        self.flat = torch.randn(pattern.weight_count, device="cuda").mul(scale).to(kind)
        kernel = torch.zeros(places.shape, device="cuda").to(kind)
        there = torch.from_numpy(places >= 0).cuda()
        kernel[there] = self.flat[torch.from_numpy(places[places >= 0].astype("int64")).cuda()]
        kernel = kernel.reshape(*pattern.kernel_size, *places.shape[1:]).permute(3, 2, 0, 1)
        self.kernel = kernel.contiguous(memory_format=torch.channels_last)
        before = [geometry._axis(axis)[0] for axis in (0, 1)]
        out, stride = geometry.out_size, geometry.strides
        after = [(out[a] - 1) * stride[a] + pattern.kernel_size[a] - geometry.size[a] - before[a]
                 for a in (0, 1)]  # fmt: skip
        self.pad = (before[1], max(after[1], 0), before[0], max(after[0], 0))
        self.there = there

    def expected(self):
        """{pass: result in float32}; weights' gradients at the places that have one."""
        torch = self.torch
        backends = torch.backends.cudnn
        backends.allow_tf32, backends.benchmark = False, False
        x = self.xs[0].float().permute(0, 3, 1, 2).requires_grad_()
        w = self.kernel.float().requires_grad_()
        y = torch.nn.functional.conv2d(
            torch.nn.functional.pad(x, self.pad), w, stride=self.layer[5]
        )
        dx, dw = torch.autograd.grad(y, (x, w), self.dys[0].float().permute(0, 3, 1, 2))
        backends.allow_tf32, backends.benchmark = True, True
        taps = dw.permute(2, 3, 1, 0).reshape(self.there.shape)
        return {"forward": y.detach().permute(0, 2, 3, 1), "by_input": dx.permute(0, 2, 3, 1),
                "by_weights": taps[self.there]}  # fmt: skip

    def dense_time(self, which, replays):
        """Microseconds of cuDNN's pass, padded evenly."""
        torch, (stride, kernel) = self.torch, (self.layer[5], self.layer[2])
        xs, dys = ([a.permute(0, 3, 1, 2) for a in list_] for list_ in (self.xs, self.dys))
        settings = ([stride] * 2, [kernel // 2] * 2, [1, 1], False, [0, 0], 1)
        if which == "forward":
            calls = [lambda x=x: torch.nn.functional.conv2d(
                x, self.kernel, stride=stride, padding=kernel // 2) for x in xs]  # fmt: skip
        else:
            asked = [which == "by_input", which == "by_weights", False]
            calls = [lambda x=x, dy=dy: torch.ops.aten.convolution_backward(
                dy, x, self.kernel, None, *settings, asked)
                for x, dy in zip(xs, dys, strict=True)]  # fmt: skip
        return graph_time(torch, calls, replays)

    def timed(self, own, plan, which, expected, replays):
        """(error, microseconds) of a plan."""
        torch = self.torch
        if which == "by_weights":
            sums = torch.full((plan.sums,), float("nan"), device="cuda")
            own(self.xs[0], self.dys[0], sums)
            places = order.weight_places(pattern_of(self.layer))
            picked = sums[torch.from_numpy(plan.picking.astype("int64")).cuda()]
            found = picked[torch.from_numpy(places[places >= 0].astype("int64")).cuda()]
            calls = [lambda x=x, dy=dy: own(x, dy, sums)
                     for x, dy in zip(self.xs, self.dys, strict=True)]  # fmt: skip
        else:
            flat = torch.cat([self.flat, self.flat.new_zeros(1)])
            at = np.where(plan.packing < 0, len(self.flat), plan.packing).astype("int64")
            packed = flat[torch.from_numpy(at).cuda()]
            inputs = self.xs if which == "forward" else self.dys
            outs = self.outs[which]
            outs[0].fill_(float("nan"))
            own(inputs[0], packed, outs[0])
            found = outs[0].float()
            calls = [lambda x=x, y=y: own(x, packed, y) for x, y in zip(inputs, outs, strict=True)]
        error = float((found - expected).norm() / expected.norm())
        return error, graph_time(torch, calls, replays)


def main():
    """Parse the command line, prepare on all cores, time, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=4, help="then nothing further begins")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--layers", type=int, nargs="+", help="indices of common/gpu_layers.TIMED")
    parser.add_argument("--dtypes", nargs="+", choices=ITEMSIZE, default=list(ITEMSIZE))
    parser.add_argument("--within", type=float, default=float("inf"),
                        help="only plans that cost at most so many times the least")  # fmt: skip
    parser.add_argument("--replays", type=int, default=3)
    parser.add_argument("--megabytes", type=int, default=240, help="of the rotating arrays")
    parser.add_argument("--compile", metavar="CAPABILITY",
                        help='such as "9.0": only compile the plans; needs no GPU')  # fmt: skip
    parser.add_argument("--table", action="store_true", help="write the table of plans")
    parser.add_argument("--every", metavar="CSV", help="a file for all plans")
    parser.add_argument("--csv", default="gpu-plans.csv")
    arguments = parser.parse_args()
    until = time.monotonic() + 60 * arguments.minutes
    layers = TIMED if arguments.layers is None else [TIMED[i] for i in arguments.layers]
    if not arguments.compile:
        import torch

        capability = "{}.{}".format(*torch.cuda.get_device_capability())
    try:
        architecture, shared = build.architecture_of(arguments.compile or capability)
    except CannotBuild as error:
        raise SystemExit(f"not run: {error}") from error
    jobs = [(layer, dtype, which, arguments.batch, shared, arguments.within)
            for dtype in arguments.dtypes for layer in layers for which in PASSES]  # fmt: skip
    with pool() as processes:
        plans = list(processes.map(plans_of, jobs))
        variants = {variant_of(plan, architecture): None for list_ in plans for _, plan in list_}
        print(sum(map(len, plans)), "plans,", len(variants), "kernels", flush=True)
        paths = dict(zip(variants, processes.map(compiled, variants), strict=True))
    print(f"compiled, {until - time.monotonic():.0f} s are left", flush=True)
    if arguments.compile:
        return
    plans = [[(about, plan, paths[variant_of(plan, architecture)]) for about, plan in list_]
             for list_ in plans]  # fmt: skip
    rows = measured(torch, jobs, plans, until, arguments)
    fastest = [row for row in rows if row["fastest"]]
    results.save(fastest, arguments.csv, "gpu-plans")
    if arguments.every:
        results.save(rows, arguments.every, "gpu-every-plan")
    if arguments.table:
        tuned.write([table_row(row) for row in fastest])


def table_row(row):
    """A row of the CSV as one of the table."""
    layer = tuple(row[name] for name in ("channels", "filters", "kernel"))
    layer = (*layer, (row["g"], row["p"]), row["side"], row["stride"])
    sizes = ((row["stride"],) * 2, (row["side"],) * 2)
    numbers = {name: row[name] for name in tuned.NUMBERS if name in row}
    about = (row["dtype"], row["pass"], numbers)
    return tuned.row_of(row["card"], row["batch"], pattern_of(layer), *sizes, *about)


def measured(torch, jobs, plans, until, arguments):
    """Time the plans of all jobs; return the rows."""
    driver, card, rows, arrays = Driver(), torch.cuda.get_device_name(0), [], None
    for (layer, dtype, which, *_), list_ in zip(jobs, plans, strict=True):
        if time.monotonic() > until:
            print(f"out of time: {layer} in {dtype}, {which} is not run")
            continue
        if arrays is None or (arrays.layer, arrays.dtype) != (layer, dtype):
            arrays = None
            torch.cuda.empty_cache()
            arrays = Layer(torch, layer, dtype, arguments.batch, arguments.megabytes)
            expected = arrays.expected()
        dense = arrays.dense_time(which, 2 * arguments.replays)
        common = {"card": card, **described(layer), "dtype": dtype, "batch": arguments.batch,
                  "pass": which, "plans": len(list_), "dense_us": dense}  # fmt: skip
        found = []
        for about, plan, path in list_:
            if time.monotonic() > until + 20:
                break
            own = Pass(torch, driver, plan, path)
            if not own.blocks:
                print("does not fit:", about)
                continue
            error, taken = arrays.timed(own, plan, which, expected[which], arguments.replays)
            right = error < ALLOWED[dtype]
            if not right:
                print("WRONG", layer, dtype, which, about, error, flush=True)
            row = common | about | {
                "blocks": own.blocks, "registers": driver.attribute(own.function, REGISTERS),
                "spilled_bytes": driver.attribute(own.function, SPILLED), "grid": own.grid[0],
                "error": error, "median_us": taken, "fastest": 0,
            }  # fmt: skip
            rows.append(row)
            found += [(row, own, plan)] if right else []
        found.sort(key=lambda one: one[0]["median_us"])
        for row, own, plan in found[:5]:  # the fastest of many is fast by chance too
            _, row["median_us"] = arrays.timed(own, plan, which, expected[which], 15)
        if found:
            best = min((row for row, *_ in found[:5]), key=lambda row: row["median_us"])
            best["fastest"] = 1
            chosen = [row["median_us"] for row, *_ in found if row["cost"] == 1]
            times = dense / best["median_us"]
            print(
                *list(described(layer).values()), dtype, which, len(list_), "plans: dense",
                f"{dense:.1f} us, best {best['median_us']:.1f} us {times:.2f}x, chosen",
                *(f"{one:.1f}" for one in chosen), {name: best[name] for name in list_[0][0]},
                flush=True,
            )  # fmt: skip
    return rows


if __name__ == "__main__":
    main()
