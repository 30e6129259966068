"""The plan of a gradient by the weights: tables, launch, and where each weight's sum lies."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from keras_ssc.native.gpu import blocks, launch, tiles

BLOCK = 8  # channels: half of the rows of a product
STEPS = 6  # of a unit: what the registers of a warp hold
WARPS = launch.THREADS // 32
WAIT = 32  # what the barriers of a tile cost, in results: a guess as those in launch.py


@dataclass(frozen=True, eq=False)
class GradientPlan:
    """Args: launch: Launch; sums: int, how many the kernel gives; picking: int32 array, the sum of
    each weight."""

    launch: launch.Launch
    sums: int
    picking: np.ndarray


def plan(places, reads, batch, itemsize, max_shared):
    """Return the GradientPlan, or None where none fits. Arguments as for `convolution_plan.plan`,
    of the forward pass."""
    found = []
    for columns in [n for n in (1, 2, 4) if places.shape[2] % (8 * n) == 0]:
        steps = blocks.steps_of(places, reads.phases, BLOCK, columns)
        units = _units(steps)
        for stages in (2, 1):
            own = _fitted(steps, units, reads, batch, itemsize, stages, max_shared, places)
            found += [(own[0], steps, own[1])] if own else []
    if not found:
        return None
    _, steps, own = min(found, key=lambda choice: choice[0])
    sums = len(steps.job) * 2 * BLOCK * 8 * steps.columns
    return GradientPlan(own, sums, picking_of(steps, places, reads.phases))


def _units(steps):
    """The units of all warps: int array (units, 3) of (job, first step, steps).

    A warp without work has a unit of no steps.
    """
    units = []
    for job in range(steps.jobs):
        first, end = int(steps.starts[job]), int(steps.starts[job + 1])
        count = -(-(end - first) // STEPS)
        bounds = np.linspace(first, end, count + 1).astype(int)
        units += [(job, start, stop - start) for start, stop in pairwise(bounds)]
    units += [(units[-1][0], 0, 0)] * (-len(units) % WARPS)
    return np.array(units, np.int32)


def _fitted(steps, units, reads, batch, itemsize, stages, max_shared, places):
    """(cost, Launch) with the best tile, or None where no tile fits."""
    _, inputs, outputs = places.shape
    block_bytes = BLOCK * itemsize
    part = np.repeat(np.arange(len(units)) // WARPS, units[:, 2])
    read = blocks.blocks_of_parts(steps, part)
    own_dy, place_of_dy = _dy_blocks(steps, units)
    pitch = launch.pitch_of(read.shape[1], block_bytes)
    dy_pitch = launch.pitch_of(own_dy.shape[1], block_bytes)
    pieces, dy_pieces = (_pieces(own, block_bytes // 16) for own in (read, own_dy))

    def sections(window_pixels):
        return launch.laid_out(
            starts=4 * launch.RESULTS,
            pieces=4 * (pieces.shape[1] + dy_pieces.shape[1]),
            pixels=4 * window_pixels,
            places=4 * launch.RESULTS,
            dy=stages * launch.RESULTS * dy_pitch,
            windows=stages * window_pixels * pitch,
        )

    room = max_shared - sections(0)[1] - 256
    of_result = len(units) * STEPS * (blocks.READ + steps.columns)
    of_result += launch.LOAD * dy_pieces.size
    load = launch.LOAD * pieces.size

    def work(tile):
        return of_result * (-(-tile.results // 16) * 16 + WAIT)

    found = tiles.best_tile(reads, batch, launch.RESULTS, work, load, room // (4 + stages * pitch))
    if found is None:
        return None
    cost, tile = found
    at, shared = sections(tile.window_pixels)
    cost *= launch.WAITS if stages == 1 else 1
    cost *= launch.ALONE if 2 * shared > max_shared else 1
    counts = tiles.counts(tile, reads, batch)
    offsets = blocks.offsets_in_window(
        steps, reads.phases, part, read, reads.first, tile.window[1] * pitch, pitch, block_bytes
    )
    problem = {
        **launch.window_fields(reads, tile, counts, batch),
        **at,
        "in_pieces": inputs * itemsize // 16,
        "outputs": outputs,
        "pieces": pieces.shape[1],
        "pitch": pitch,
        "dy_pieces": dy_pieces.shape[1],
        "dy_pitch": dy_pitch,
        "jobs": steps.jobs,
        "stages": stages,
    }
    return cost, launch.Launch(
        kernel="weight_gradient",
        defines={
            "BF16": int(itemsize == 2),
            "NT": steps.columns,
            "MS": STEPS,
            "WARPS": WARPS,
            "TILE": launch.RESULTS,
        },
        parts=len(units) // WARPS,
        phases=1,
        tiles=counts[0],
        shared=shared,
        tables=(
            offsets,
            np.column_stack([place_of_dy * block_bytes, units[:, 1:]]).astype(np.int32),
            pieces,
            dy_pieces,
        ),
        problem=problem,
    )


def _dy_blocks(steps, units):
    """(blocks of 8 outputs that each part reads, place of each unit's first one among them)."""
    jobs = units[:, 0].reshape(-1, WARPS)
    lists = [np.unique(of_part) for of_part in jobs]
    most = max(map(len, lists))
    own = np.array([np.resize(list_, most) for list_ in lists])
    place = [np.searchsorted(list_, of_part) for list_, of_part in zip(lists, jobs, strict=True)]
    in_job = np.arange(steps.columns)
    dy = (own[..., None] * steps.columns + in_job).reshape(len(own), -1)
    return dy, np.concatenate(place) * steps.columns


def _pieces(read, of_block):
    """16-byte pieces of the blocks: int32 array (parts, blocks * of_block)."""
    return (read[..., None] * of_block + np.arange(of_block)).reshape(len(read), -1).astype("int32")


def picking_of(steps, places, phases):
    """Return the place of each weight's sum in what the kernel gives: int32 array (weights,)."""
    taps = blocks.tap_of(steps, phases)[:, :, None, None]
    channel = steps.pairs[..., 1, None, None] * BLOCK + np.arange(BLOCK)[:, None]
    output = steps.job[:, None, None, None] * 8 * steps.columns + np.arange(8 * steps.columns)
    weight = np.where(taps >= 0, places[taps, channel, output], -1).ravel()
    found = np.flatnonzero(weight >= 0)
    picking = np.empty(len(found), np.int32)
    picking[weight[found]] = found
    return picking
