"""The plan of a convolution, or of its gradient by the input: tables, packing and launch."""

import dataclasses
import functools
from dataclasses import dataclass
from itertools import product

import numpy as np

from keras_ssc.native.gpu import blocks, costs, launch, tiles

# Warps along the pixels, and how many rows of 16 pixels each of them computes at a time.
ROWS = (1, 2, 4, 7)
ALONG_PIXELS = (1, 2, 4, 8)
# The fewest and the most results of a tile.
RESULTS = (64, 256)


@dataclass(frozen=True)
class Warps:
    """Args: along_pixels, along_jobs: int, warps of a block; rows: int, of 16 pixels, of a warp."""

    along_pixels: int
    along_jobs: int
    rows: int

    @property
    def results(self):
        """Pixels that a block computes at a time."""
        return 16 * self.along_pixels * self.rows

    @property
    def threads(self):
        """Threads of a block."""
        return 32 * self.along_pixels * self.along_jobs


@dataclass(frozen=True, eq=False)
class ConvolutionPlan:
    """Args: launch: Launch; packing: int32 array, the weight at each place of the packed weights,
    -1: zero."""

    launch: launch.Launch
    packing: np.ndarray


@dataclass(frozen=True, eq=False)
class Choice:
    """One of the ways to compute a pass.

    Args:
        cost: float, the clocks that it should take.
        steps: `blocks.Steps`.
        own: Parts.
        stages: int, windows in shared memory.
        warps: Warps.
        tile: `tiles.Tile`.
        at_a_time: int, blocks that shall fit on a multiprocessor.
    """

    cost: float
    steps: blocks.Steps
    own: "Parts"
    stages: int
    warps: Warps
    tile: tiles.Tile
    at_a_time: int


def numbers_of(choice):
    """Return what tells a Choice from the others of its pass: dict of ints."""
    warps = choice.warps
    return {"columns": choice.steps.columns, "parts": len(choice.own.read),
            "stages": choice.stages, "along_pixels": warps.along_pixels,
            "along_jobs": warps.along_jobs, "rows": warps.rows,
            **tiles.numbers_of(choice.tile), "at_a_time": choice.at_a_time}  # fmt: skip


def measured_choice(numbers, places, reads, itemsize, max_shared):
    """Return the Choice with these numbers, or None where it does not fit here."""
    columns = numbers["columns"]
    if places.shape[2] % (8 * columns):
        return None
    block = 16 // itemsize
    steps = blocks.steps_of(blocks.live_of(places, block), reads.phases, block, columns)
    own = _parts(steps, min(numbers["parts"], steps.jobs))
    warps = Warps(numbers["along_pixels"], numbers["along_jobs"], numbers["rows"])
    tile = tiles.tile_from(numbers, reads)
    choice = Choice(0, steps, own, numbers["stages"], warps, tile, numbers["at_a_time"])
    fits = tile.results <= warps.results and _shared_of(choice, reads) <= max_shared
    return choice if fits and max(tile.window) <= tiles.MAX_SIDE else None


def _shared_of(choice, reads):
    """Bytes of shared memory that a block needs."""
    window = tiles.window_of(choice.tile, reads, choice.own.read.shape[1], 16)
    sizes = (choice.warps.results, choice.tile.window_pixels, window.bytes, choice.stages)
    return _sections(choice.steps, choice.own, *sizes)[1]


def all_choices(places, reads, batch, itemsize, max_shared, multiprocessors=costs.MULTIPROCESSORS):
    """Yield every Choice that fits, with its best tile. Arguments as for `planning.plan`."""
    settings = (reads, batch, itemsize, max_shared, multiprocessors)
    tiles_of = functools.cache(functools.partial(tiles.all_tiles, reads, batch))
    block = 16 // itemsize
    live = blocks.live_of(places, block)
    for columns in [n for n in (1, 2, 4) if places.shape[2] % (8 * n) == 0]:
        steps = blocks.steps_of(live, reads.phases, block, columns)
        together = together_of(columns, itemsize)
        for parts in sorted({2**n for n in range(steps.jobs.bit_length())} | {steps.jobs}):
            own = _parts(steps, parts)
            for warps in _all_warps(-(-own.jobs // together)):
                for stages in (2, 1):
                    every = tiles_of(warps.results)
                    choice = Choice(0, steps, own, stages, warps, every, 0)
                    choice = _fitted(choice, *settings)
                    if choice:
                        yield choice


def together_of(columns, itemsize):
    """Jobs whose results are written together."""
    return 2 if columns == 1 and itemsize == 2 else 1


def _all_warps(jobs):
    """All Warps for so many jobs of a block: four or eight, none of them without a job."""
    for count, along_pixels, rows in product((4, 8), ALONG_PIXELS, ROWS):
        warps = Warps(along_pixels, count // along_pixels, rows)
        if 0 < warps.along_jobs <= jobs and RESULTS[0] <= warps.results <= RESULTS[1]:
            yield warps


@dataclass(frozen=True, eq=False)
class Parts:
    """Args: jobs: int, of a part; part: int array (steps,); read: int array (parts, blocks)."""

    jobs: int
    part: np.ndarray
    read: np.ndarray
    most_steps: int


def _parts(steps, parts):
    """Deal the jobs into parts of equally many."""
    jobs = -(-steps.jobs // parts)
    part = steps.job // jobs
    count = -(-steps.jobs // jobs)
    phases = len(steps.starts) // steps.jobs
    each = np.bincount(steps.phase * count + part, minlength=phases * count)
    read = blocks.blocks_of_parts(steps, part)
    read = np.resize(read, (count, read.shape[1]))  # the last parts may have no step at all
    return Parts(jobs, part, read, int(each.max()))


def _sections(steps, own, results, window_pixels, window_bytes, stages):
    return launch.laid_out(
        steps=8 * (own.most_steps + 1),
        starts=4 * (own.jobs + 1),
        pieces=4 * own.read.shape[1],
        pixels=4 * window_pixels,
        places=4 * results,
        fetches=8 * window_pixels,
        targets=3 * 4 * results,
        weights=256 * steps.columns * (own.most_steps + 1),
        windows=stages * window_bytes,
    )


def _fitted(choice, reads, batch, itemsize, max_shared, multiprocessors):
    """The Choice with the best of its tiles, or None where none fits."""
    warps, columns = choice.warps, choice.steps.columns
    shared = _shared_of(choice, reads)
    registers = registers_of(warps.rows, columns, together_of(columns, itemsize))
    at_a_time = launch.blocks_at_a_time(warps.threads, shared, max_shared, registers)
    choice = dataclasses.replace(choice, at_a_time=at_a_time)
    clocks = clocks_of(choice, reads, batch, itemsize, multiprocessors)
    return tiles.with_best(choice, clocks, shared <= max_shared)


def clocks_of(choice, reads, batch, itemsize, multiprocessors):
    """The clocks that a Choice should take: an array, where its tile is one of arrays."""
    own, warps, columns = choice.own, choice.warps, choice.steps.columns
    together = together_of(columns, itemsize)
    products = warps.rows * columns
    of_warp = -(-own.jobs // (together * warps.along_jobs)) * together  # jobs, one by one
    busy = warps.along_pixels * (
        costs.READ * own.most_steps * (warps.rows + columns / 2) + costs.WRITE * products * own.jobs
    )
    return costs.clocks(
        busy=busy + costs.COPY * choice.tile.window_pixels * own.read.shape[1],
        waits=costs.waits(own.most_steps / own.jobs * of_warp, products, choice.stages),
        once=costs.COPY * 16 * own.most_steps * columns,  # the weights
        tiles=tiles.counts(choice.tile, reads, batch)[0],
        groups=len(own.read) * len(reads.phases),
        at_a_time=choice.at_a_time,
        multiprocessors=multiprocessors,
    )


def registers_of(rows, columns, together):
    """About how many registers a thread needs: sums, two steps' values, addresses."""
    return 4 * rows * columns * together + 2 * (4 * rows + 2 * columns) + 44


def made(choice, places, reads, batch, itemsize):
    """Return the ConvolutionPlan of a Choice. Other arguments as for `planning.plan`."""
    own = launch_of(choice, places, reads, batch, itemsize)
    return ConvolutionPlan(own, blocks.packing_of(choice.steps, places, reads.phases))


def launch_of(choice, places, reads, batch, itemsize):
    """Return the Launch of a Choice. Other arguments as for `planning.plan`."""
    steps, own, warps, tile = choice.steps, choice.own, choice.warps, choice.tile
    _, inputs, outputs = places.shape
    pieces = own.read.shape[1]
    window = tiles.window_of(tile, reads, pieces, 16)
    sizes = (tile.window_pixels, window.bytes, choice.stages)
    at, shared = _sections(steps, own, warps.results, *sizes)
    counts = tiles.counts(tile, reads, batch)
    offsets = blocks.offsets_in_window(
        steps, reads.phases, own.part, own.read, reads.first, window, 16
    )
    problem = {
        **launch.window_fields(reads, tile, window, counts, batch),
        **at,
        "in_pieces": inputs * itemsize // 16,
        "outputs": outputs,
        "pieces": pieces,
        "jobs": steps.jobs,
        "jobs_of_part": own.jobs,
        "stages": choice.stages,
    }
    return launch.Launch(
        kernel="convolve",
        defines={
            "BF16": int(itemsize == 2),
            "NT": steps.columns,
            "MT": warps.rows,
            "WM": warps.along_pixels,
            "WJ": warps.along_jobs,
            "JG": together_of(steps.columns, itemsize),
            "BLOCKS": choice.at_a_time,
            "EPILOGUE": 0,
        },
        parts=len(own.read),
        phases=len(reads.phases),
        tiles=counts[0],
        threads=warps.threads,
        shared=shared,
        tables=(
            offsets,
            steps.starts,
            own.read,
            np.array([phase.first for phase in reads.phases], np.int32),
        ),
        problem=problem,
    )
