"""The plan of a gradient by the weights: tables, launch, and where each weight's sum lies."""

from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np

from keras_ssc.native.gpu import blocks, launch, tiles

BLOCK = 8  # channels: half of the rows of a product
STEPS = (4, 5, 6)  # of a unit: what the registers of a warp hold
WARPS = (4, 8)  # of a block
TILES = (64, 128, 256)  # most results of a tile
WAIT = 32  # what the barriers of a tile cost, in results: a guess as those in launch.py


@dataclass(frozen=True, eq=False)
class GradientPlan:
    """Args: launch: Launch; sums: int, how many the kernel gives; picking: int32 array, the sum of
    each weight."""

    launch: launch.Launch
    sums: int
    picking: np.ndarray


def plan(places, reads, batch, itemsize, max_shared, numbers=None):
    """Return the GradientPlan, or None where none fits. Arguments as for `convolution_plan.plan`,
    of the forward pass."""
    best = numbers and measured_choice(numbers, places, reads, itemsize, max_shared)
    if best:
        return made(best, places, reads, batch, itemsize)
    choices = all_choices(places, reads, batch, itemsize, max_shared)
    best = min(choices, key=lambda choice: choice.cost, default=None)
    return best and made(best, places, reads, batch, itemsize)


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
    work, tile = choice.work, choice.tile
    return {"columns": work.steps.columns, "steps": work.most, "warps": work.warps,
            "results": choice.results, "stages": choice.stages, "tile_images": tile.images,
            "tile_rows": tile.rows, "tile_columns": tile.columns,
            "at_a_time": choice.at_a_time}  # fmt: skip


def measured_choice(numbers, places, reads, itemsize, max_shared):
    """Return the Choice with these numbers, or None where it does not fit here."""
    columns = numbers["columns"]
    if places.shape[2] % (8 * columns):
        return None
    steps = blocks.steps_of(places, reads.phases, BLOCK, columns)
    work = _units(steps, numbers["steps"], numbers["warps"])
    read = blocks.blocks_of_parts(steps, work.part)
    sizes = (numbers["tile_images"], numbers["tile_rows"], numbers["tile_columns"])
    tile = tiles.tile_of(*sizes, reads)
    results = numbers["results"]
    choice = Choice(0, work, read, results, numbers["stages"], tile, numbers["at_a_time"])
    fits = tile.results <= results and _shared_of(choice, reads, itemsize) <= max_shared
    return choice if fits and max(tile.window) <= tiles.MAX_SIDE else None


def _shared_of(choice, reads, itemsize):
    """Bytes of shared memory that a block needs."""
    read, dy_blocks = choice.read.shape[1], _dy_blocks(choice.work)[0].shape[1]
    window = tiles.window_of(choice.tile, reads, read, BLOCK * itemsize)
    sizes = (choice.results, choice.tile.window_pixels, window.bytes, choice.stages)
    return _sections(read, dy_blocks, itemsize, *sizes)[1]


def all_choices(places, reads, batch, itemsize, max_shared):
    """Yield every Choice that fits. Arguments as for `plan`."""
    for columns in [n for n in (1, 2, 4) if places.shape[2] % (8 * n) == 0]:
        steps = blocks.steps_of(places, reads.phases, BLOCK, columns)
        for most, warps in product(STEPS, WARPS):
            work = _units(steps, most, warps)
            read = blocks.blocks_of_parts(steps, work.part)
            for results, stages in product(TILES, (2, 1)):
                choice = _fitted(work, read, reads, batch, itemsize, results, stages, max_shared)
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


def _fitted(work, read, reads, batch, itemsize, results, stages, max_shared):
    """The Choice with the best tile, or None where no tile fits."""
    dy_blocks = _dy_blocks(work)[0]
    sizes = (read.shape[1], dy_blocks.shape[1], itemsize, results)
    room = max_shared - _sections(*sizes, 0, 0, stages)[1]
    most_pixels = room // (12 + stages * BLOCK * itemsize * read.shape[1])
    of_result = len(work.units) * work.most * (blocks.READ + work.steps.columns)
    of_result += launch.LOAD * dy_blocks.size * BLOCK * itemsize // 16
    load = launch.LOAD * read.size * BLOCK * itemsize // 16

    def shared_of(tile):
        window = tiles.window_of(tile, reads, read.shape[1], BLOCK * itemsize)
        return _sections(*sizes, tile.window_pixels, window.bytes, stages)[1]

    def cost_of(tile):
        return of_result * (-(-tile.results // 16) * 16 + WAIT)

    found = tiles.best_tile(
        *(reads, batch, results, cost_of, load, most_pixels),
        lambda tile: shared_of(tile) <= max_shared,
    )
    if found is None:
        return None
    cost, tile = found
    shared = shared_of(tile)
    cost *= launch.WAITS if stages == 1 else 1
    registers = 4 * work.most * work.steps.columns + 4 * work.steps.columns + 56
    at_a_time = launch.blocks_at_a_time(32 * work.warps, shared, max_shared, registers)
    cost *= launch.ALONE if at_a_time == 1 else 1
    return Choice(cost, work, read, results, stages, tile, at_a_time)


def made(choice, places, reads, batch, itemsize):
    """Return the GradientPlan of a Choice. Other arguments as for `plan`."""
    steps = choice.work.steps
    sums = len(steps.job) * 2 * BLOCK * 8 * steps.columns
    own = launch_of(choice, places, reads, batch, itemsize)
    return GradientPlan(own, sums, picking_of(steps, places, reads.phases))


def launch_of(choice, places, reads, batch, itemsize):
    """Return the Launch of a Choice. Other arguments as for `plan`."""
    work, tile, results = choice.work, choice.tile, choice.results
    steps, units = work.steps, work.units
    _, inputs, outputs = places.shape
    block_bytes = BLOCK * itemsize
    own_dy, place_of_dy = _dy_blocks(work)
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


def _dy_blocks(work):
    """(blocks of 8 outputs that each part reads, place of each unit's first one among them)."""
    jobs = work.units[:, 0].reshape(-1, work.warps)
    lists = [np.unique(of_part) for of_part in jobs]
    most = max(map(len, lists))
    own = np.array([np.resize(list_, most) for list_ in lists])
    place = [np.searchsorted(list_, of_part) for list_, of_part in zip(lists, jobs, strict=True)]
    columns = work.steps.columns
    dy = (own[..., None] * columns + np.arange(columns)).reshape(len(own), -1)
    return dy, np.concatenate(place) * columns


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
