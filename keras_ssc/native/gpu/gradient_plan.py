"""The plan of a gradient by the weights: tables, launch, and where each weight's sum lies."""

import dataclasses
import functools
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np

from keras_ssc.native.gpu import blocks, costs, launch, tiles

BLOCK = 8  # channels: half of the rows of a product
STEPS = (4, 5, 6)  # of a unit: what the registers of a warp hold
WARPS = (4, 8)  # of a block
TILES = (64, 128, 256)  # most results of a tile


@dataclass(frozen=True, eq=False)
class GradientPlan:
    """Args: launch: Launch; sums: int, how many the kernel gives; picking: int32 array, the sum of
    each weight."""

    launch: launch.Launch
    sums: int
    picking: np.ndarray


@dataclass(frozen=True, eq=False)
class Units:
    """What the warps have to do.

    Args:
        steps: `blocks.Steps`.
        most: int, steps of a unit.
        warps: int, of a block.
        units: int array (units, 3) of (job, first step, steps), one for each warp of each part; a
            warp without work has a unit of no steps.
    """

    steps: blocks.Steps
    most: int
    warps: int
    units: np.ndarray

    @property
    def part(self):
        """The part of each step: int array."""
        return np.repeat(np.arange(len(self.units)) // self.warps, self.units[:, 2])

    @functools.cached_property
    def dy(self):
        """(blocks of 8 outputs that each part reads, place of each unit's first one among them)."""
        jobs = self.units[:, 0].reshape(-1, self.warps)
        place = jobs - jobs[:, :1]  # they come in order
        own = np.minimum(jobs[:, :1] + np.arange(place.max() + 1), self.steps.jobs - 1)
        columns = self.steps.columns
        dy = (own[..., None] * columns + np.arange(columns)).reshape(len(own), -1)
        return dy, place.ravel() * columns


@dataclass(frozen=True, eq=False)
class Choice:
    """One of the ways to compute the pass; as `convolution_plan.Choice`.

    Args:
        cost, stages, tile, at_a_time: as there.
        work: Units.
        read: int array (parts, blocks), blocks of x that each part reads.
        results: int, the most results of a tile.
        at_a_time: int, as there.
    """

    cost: float
    work: Units
    read: np.ndarray
    results: int
    stages: int
    tile: tiles.Tile
    at_a_time: int


def numbers_of(choice):
    """Return what tells a Choice from the others of its pass: dict of ints."""
    work = choice.work
    return {"columns": work.steps.columns, "steps": work.most, "warps": work.warps,
            "results": choice.results, "stages": choice.stages, **tiles.numbers_of(choice.tile),
            "at_a_time": choice.at_a_time}  # fmt: skip


def measured_choice(numbers, places, reads, itemsize, max_shared):
    """Return the Choice with these numbers, or None where it does not fit here."""
    columns = numbers["columns"]
    if places.shape[2] % (8 * columns):
        return None
    steps = blocks.steps_of(blocks.live_of(places, BLOCK), reads.phases, BLOCK, columns)
    work = _units(steps, numbers["steps"], numbers["warps"])
    read = blocks.blocks_of_parts(steps, work.part)
    tile = tiles.tile_from(numbers, reads)
    results = numbers["results"]
    choice = Choice(0, work, read, results, numbers["stages"], tile, numbers["at_a_time"])
    fits = tile.results <= results and _shared_of(choice, reads, itemsize) <= max_shared
    return choice if fits and max(tile.window) <= tiles.MAX_SIDE else None


def _shared_of(choice, reads, itemsize):
    """Bytes of shared memory that a block needs."""
    read, dy_blocks = choice.read.shape[1], choice.work.dy[0].shape[1]
    window = tiles.window_of(choice.tile, reads, read, BLOCK * itemsize)
    sizes = (choice.results, choice.tile.window_pixels, window.bytes, choice.stages)
    return _sections(read, dy_blocks, itemsize, *sizes)[1]


def all_choices(places, reads, batch, itemsize, max_shared, multiprocessors=costs.MULTIPROCESSORS):
    """Yield every Choice that fits, with its best tile. Arguments as for `planning.plan`."""
    settings = (reads, batch, itemsize, max_shared, multiprocessors)
    tiles_of = functools.cache(functools.partial(tiles.all_tiles, reads, batch))
    live = blocks.live_of(places, BLOCK)
    for columns in [n for n in (1, 2, 4) if places.shape[2] % (8 * n) == 0]:
        steps = blocks.steps_of(live, reads.phases, BLOCK, columns)
        for most, warps in product(STEPS, WARPS):
            work = _units(steps, most, warps)
            read = blocks.blocks_of_parts(steps, work.part)
            for results, stages in product(TILES, (2, 1)):
                choice = Choice(0, work, read, results, stages, tiles_of(results), 0)
                choice = _fitted(choice, *settings)
                if choice:
                    yield choice


def _units(steps, most, warps):
    """Deal the steps of each job out to units of equally many."""
    units = []
    for job in range(steps.jobs):
        first, end = int(steps.starts[job]), int(steps.starts[job + 1])
        count = -(-(end - first) // most)
        bounds = np.linspace(first, end, count + 1).astype(int)
        units += [(job, start, stop - start) for start, stop in pairwise(bounds)]
    units += [(units[-1][0], 0, 0)] * (-len(units) % warps)
    return Units(steps, most, warps, np.array(units, np.int32))


def _sections(read, dy_blocks, itemsize, results, window_pixels, window_bytes, stages):
    """Arguments: blocks of x and of dy that a part reads, results of a tile, its window."""
    block_bytes = BLOCK * itemsize
    return launch.laid_out(
        starts=4 * results,
        pieces=4 * (read + dy_blocks) * block_bytes // 16,
        pixels=4 * window_pixels,
        places=4 * results,
        fetches=8 * window_pixels,
        targets=8 * results,
        dy=stages * results * launch.pitch_of(dy_blocks, block_bytes),
        windows=stages * window_bytes,
    )


def _fitted(choice, reads, batch, itemsize, max_shared, multiprocessors):
    """The Choice with the best of its tiles, or None where none fits."""
    most, warps, columns = choice.work.most, choice.work.warps, choice.work.steps.columns
    shared = _shared_of(choice, reads, itemsize)
    registers = 4 * most * columns + 4 * columns + 56
    at_a_time = launch.blocks_at_a_time(32 * warps, shared, max_shared, registers)
    choice = dataclasses.replace(choice, at_a_time=at_a_time)
    clocks = clocks_of(choice, reads, batch, itemsize, multiprocessors)
    return tiles.with_best(choice, clocks, shared <= max_shared)


def clocks_of(choice, reads, batch, itemsize, multiprocessors):
    """As `convolution_plan.clocks_of`."""
    work, tile, columns = choice.work, choice.tile, choice.work.steps.columns
    products = work.most * columns
    steps = -(-tile.results // (32 // itemsize))  # along the pixels
    pieces = tile.window_pixels * choice.read.shape[1] + tile.results * work.dy[0].shape[1]
    reads_of_step = work.warps * (work.most + max(1, columns / 2))
    return costs.clocks(
        busy=costs.READ * steps * reads_of_step + costs.COPY * pieces * itemsize / 2,
        waits=costs.waits(steps, products, choice.stages),
        once=costs.SUM * work.warps * products,
        tiles=tiles.counts(tile, reads, batch)[0],
        groups=len(choice.read),
        at_a_time=choice.at_a_time,
        multiprocessors=multiprocessors,
    )


def made(choice, places, reads, batch, itemsize):
    """Return the GradientPlan of a Choice. Other arguments as for `planning.plan`."""
    steps = choice.work.steps
    sums = len(steps.job) * 2 * BLOCK * 8 * steps.columns
    own = launch_of(choice, places, reads, batch, itemsize)
    return GradientPlan(own, sums, picking_of(steps, places, reads.phases))


def launch_of(choice, places, reads, batch, itemsize):
    """Return the Launch of a Choice. Other arguments as for `planning.plan`."""
    work, tile, results = choice.work, choice.tile, choice.results
    steps, units = work.steps, work.units
    _, inputs, outputs = places.shape
    block_bytes = BLOCK * itemsize
    own_dy, place_of_dy = work.dy
    both = (choice.read, own_dy)
    pieces, dy_pieces = (_pieces(own, block_bytes // 16) for own in both)
    window = tiles.window_of(tile, reads, choice.read.shape[1], block_bytes)
    sizes = (*(own.shape[1] for own in both), itemsize, results)
    at, shared = _sections(*sizes, tile.window_pixels, window.bytes, choice.stages)
    counts = tiles.counts(tile, reads, batch)
    offsets = blocks.offsets_in_window(
        steps, reads.phases, work.part, choice.read, reads.first, window, block_bytes
    )
    problem = {
        **launch.window_fields(reads, tile, window, counts, batch),
        **at,
        "in_pieces": inputs * itemsize // 16,
        "outputs": outputs,
        "pieces": pieces.shape[1],
        "dy_pieces": dy_pieces.shape[1],
        "dy_pitch": launch.pitch_of(own_dy.shape[1], block_bytes),
        "jobs": steps.jobs,
        "stages": choice.stages,
    }
    return launch.Launch(
        kernel="weight_gradient",
        defines={
            "BF16": int(itemsize == 2),
            "NT": steps.columns,
            "MS": work.most,
            "WARPS": work.warps,
            "TILE": results,
            "BLOCKS": choice.at_a_time,
        },
        parts=len(units) // work.warps,
        phases=1,
        tiles=counts[0],
        threads=32 * work.warps,
        shared=shared,
        tables=(
            offsets,
            np.column_stack([place_of_dy * block_bytes, units[:, 1:]]).astype(np.int32),
            pieces,
            dy_pieces,
        ),
        problem=problem,
    )


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
