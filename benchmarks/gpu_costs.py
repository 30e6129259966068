"""Fits the numbers of keras_ssc/native/gpu/costs.py to the times that gpu_plans.py measured.

KERAS_BACKEND=jax python benchmarks/gpu_costs.py benchmarks/results/gpu-all-plans-nvidia-h200.csv.gz

Least squares of relative errors, no number negative; slow plans count for less than fast ones.
A constant for each kernel (its start) and one for the bytes of the tensors are fitted beside: they
are the same for all plans of a pass, and so play no part in the choice. Needs SciPy, and no GPU.

Printed: the numbers; and how many times the fastest plan's time the plan takes that is chosen, by
numbers that are fitted to all layers, and to all but the layer itself.
"""

import argparse
import csv
import functools
import gzip
import os
from collections import Counter
from dataclasses import dataclass
from unittest import mock

os.environ.setdefault("KERAS_BACKEND", "jax")

import numpy as np
from scipy.optimize import nnls

from common.gpu_layers import ITEMSIZE, planner_of
from keras_ssc.native.gpu import costs, tuned

NUMBERS = ("READ", "COPY", "WRITE", "SUM", "TILE", "WINDOW", "STEP", "PRODUCT")
CLOCKS = 1980  # of a microsecond
MULTIPROCESSORS, SHARED = 132, 232448  # of an H200


@dataclass(frozen=True)
class Plan:
    """A row of the CSV: its layer, pass, time, cost (in the file), and how often each number counts
    in its clocks."""

    layer: tuple
    which: str
    microseconds: float
    cost: float
    counts: tuple


@functools.cache
def planner(*job):
    """As `planner_of`."""
    return planner_of(*job)


def plan_of(row):
    """The Plan of a row, or None where it does not fit any more."""
    layer = tuple(int(row[name]) for name in ("channels", "filters", "kernel"))
    layer = (*layer, (int(row["g"]), int(row["p"])), int(row["side"]), int(row["stride"]))
    job = (layer, row["dtype"], row["pass"], int(row["batch"]))
    kind, (places, reads, batch, itemsize) = planner(*job)
    numbers = {name: int(row[name]) for name in tuned.NUMBERS if row[name]}
    choice = kind.measured_choice(numbers, places, reads, itemsize, SHARED)
    if choice is None:
        return None
    counts = []
    for name in NUMBERS:
        with mock.patch.multiple(costs, **{other: float(other == name) for other in NUMBERS}):
            counts.append(float(kind.clocks_of(choice, reads, batch, itemsize, MULTIPROCESSORS)))
    sizes = (*reads.in_size, places.shape[1]), (*reads.out_size, places.shape[2])
    megabytes = batch * ITEMSIZE[row["dtype"]] * sum(np.prod(size) for size in sizes) / 1e6
    gradient = row["pass"] == "by_weights"
    counts += [float(gradient), float(not gradient), megabytes]
    return Plan(layer, row["pass"], float(row["median_us"]), float(row["cost"]), tuple(counts))


def least_of(plans):
    """{(layer, pass): the least time}."""
    least = {}
    for plan in plans:
        key = (plan.layer, plan.which)
        least[key] = min(plan.microseconds, least.get(key, np.inf))
    return least


def fitted(plans):
    """The numbers, as an array."""
    least, size = least_of(plans), Counter((plan.layer, plan.which) for plan in plans)
    keys = [(plan.layer, plan.which) for plan in plans]
    times = np.array([plan.microseconds for plan in plans])
    slower = times / np.array([least[key] for key in keys])
    weights = slower**-2 / np.sqrt([size[key] for key in keys])
    counts = np.array([plan.counts for plan in plans]) * (weights / times)[:, None]
    scale = counts.max(axis=0, initial=1e-30)
    return nnls(counts / scale, weights * CLOCKS)[0] / scale


def regrets(plans, clocks):
    """{(layer, pass): time of the plan of least clocks / the least time}."""
    least, chosen = least_of(plans), {}
    for plan, own in zip(plans, clocks, strict=True):
        key = (plan.layer, plan.which)
        if key not in chosen or own < chosen[key][0]:
            chosen[key] = own, plan.microseconds / least[key]
    return {key: regret for key, (_, regret) in chosen.items()}


def clocks_of(plans, numbers):
    """The clocks of plans."""
    return np.array([plan.counts for plan in plans]) @ numbers


def main():
    """Read, fit, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("csv", help="of gpu_plans.py, of one card; or the same, by gzip")
    path = parser.parse_args().csv
    with (gzip.open if path.endswith(".gz") else open)(path, "rt", encoding="utf-8") as file:
        plans = [plan for plan in map(plan_of, csv.DictReader(file)) if plan]
    numbers = fitted(plans)
    print({name: float(f"{n:.3g}") for name, n in zip(NUMBERS, numbers, strict=False)})
    before = regrets(plans, [plan.cost for plan in plans])
    own = [getattr(costs, name) for name in NUMBERS]
    now = regrets(plans, clocks_of(plans, [*own, *numbers[len(own) :]]))
    without = {}
    for layer in dict.fromkeys(plan.layer for plan in plans):
        others = fitted([plan for plan in plans if plan.layer != layer])
        left_out = [plan for plan in plans if plan.layer == layer]
        without |= regrets(left_out, clocks_of(left_out, others))
    print("layer, pass: by the costs in the file, by costs.py, by a fit to the other layers")
    for key in before:
        print(*key, *(f"{found[key]:.2f}" for found in (before, now, without)))
    for name, found in (("file", before), ("costs.py", now), ("other layers", without)):
        print(f"{name}: mean {np.mean([*found.values()]):.3f}, most {max(found.values()):.3f}")


if __name__ == "__main__":
    main()
