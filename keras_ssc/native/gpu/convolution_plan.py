"""The plan of a convolution, or of its gradient by the input: tables, packing and launch."""

from dataclasses import dataclass
from itertools import product

import numpy as np

from keras_ssc.native.gpu import blocks, launch, tiles

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


def plan(places, reads, batch, itemsize, max_shared):
    """Return the ConvolutionPlan that should take least time, or None where none fits.

    Args:
        places: int array (taps, inputs, outputs) of this pass, from `order.weight_places`.
        reads: `reads.Reads`.
        batch: int, images.
        itemsize: int, bytes of a value: 2 (bfloat16) or 4 (float32).
        max_shared: int, bytes of shared memory that a block may have.
    """
    choices = all_choices(places, reads, batch, itemsize, max_shared)
    best = min(choices, key=lambda choice: choice.cost, default=None)
    return best and made(best, places, reads, batch, itemsize)


@dataclass(frozen=True, eq=False)
class Choice:
    """One of the ways to compute a pass.

    Args:
        cost: float, the time that it should take.
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


def all_choices(places, reads, batch, itemsize, max_shared):
    """Yield every Choice that fits. Arguments as for `plan`."""
    for columns in [n for n in (1, 2, 4) if places.shape[2] % (8 * n) == 0]:
        steps = blocks.steps_of(places, reads.phases, 16 // itemsize, columns)
        together = together_of(columns, itemsize)
        for parts in sorted({2**n for n in range(steps.jobs.bit_length())} | {steps.jobs}):
            own = _parts(steps, parts)
            for warps in _all_warps(-(-own.jobs // together)):
                for stages in (2, 1):
                    settings = (together, reads, batch, max_shared)
                    choice = _fitted(steps, own, warps, stages, *settings)
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


def _sections(steps, own, results, window_pixels, stages):
    pitch = launch.pitch_of(own.read.shape[1], 16)
    return launch.laid_out(
        steps=8 * (own.most_steps + 1),
        starts=4 * (own.jobs + 1),
        pieces=4 * own.read.shape[1],
        pixels=4 * window_pixels,
        places=4 * results,
        located=4 * window_pixels,
        targets=2 * 4 * results,
        weights=256 * steps.columns * (own.most_steps + 1),
        windows=stages * window_pixels * pitch,
    )


def _fitted(steps, own, warps, stages, together, reads, batch, max_shared):
    """The Choice with the best tile, or None where none fits."""
    pieces = own.read.shape[1]
    room = max_shared - _sections(steps, own, warps.results, 0, stages)[1] - 256
    most_pixels = room // (8 + stages * launch.pitch_of(pieces, 16))
    work = warps.results * blocks.work_of(steps)  # unused rows are computed too
    load = launch.LOAD * pieces * len(own.read)
    found = tiles.best_tile(reads, batch, warps.results, lambda _: work, load, most_pixels)
    if found is None:
        return None
    cost, tile = found
    cost *= launch.WAITS if stages == 1 else 1
    shared = _sections(steps, own, warps.results, tile.window_pixels, stages)[1]
    registers = registers_of(warps.rows, steps.columns, together)
    at_a_time = launch.blocks_at_a_time(warps.threads, shared, max_shared, registers)
    cost *= launch.ALONE if at_a_time == 1 else 1
    return Choice(cost, steps, own, stages, warps, tile, at_a_time)


def registers_of(rows, columns, together):
    """About how many registers a thread needs: sums, two steps' values, addresses."""
    return 4 * rows * columns * together + 2 * (4 * rows + 2 * columns) + 44


def made(choice, places, reads, batch, itemsize):
    """Return the ConvolutionPlan of a Choice. Other arguments as for `plan`."""
    own = launch_of(choice, places, reads, batch, itemsize)
    return ConvolutionPlan(own, packing_of(choice.steps, places, reads.phases))


def launch_of(choice, places, reads, batch, itemsize):
    """Return the Launch of a Choice. Other arguments as for `plan`."""
    steps, own, warps, tile = choice.steps, choice.own, choice.warps, choice.tile
    _, inputs, outputs = places.shape
    pieces = own.read.shape[1]
    pitch = launch.pitch_of(pieces, 16)
    at, shared = _sections(steps, own, warps.results, tile.window_pixels, choice.stages)
    counts = tiles.counts(tile, reads, batch)
    offsets = blocks.offsets_in_window(
        steps, reads.phases, own.part, own.read, reads.first, tile.window[1] * pitch, pitch, 16
    )
    problem = {
        **launch.window_fields(reads, tile, counts, batch),
        **at,
        "in_pieces": inputs * itemsize // 16,
        "outputs": outputs,
        "pieces": pieces,
        "pitch": pitch,
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


def packing_of(steps, places, phases):
    """Return the weight at each place of the packed weights: int32 array, -1: zero.

    In the order of steps, of pairs of columns, of lanes: so a lane's part of a step is 16 bytes (8
    with one column), and a warp reads it without conflicts. Lane l holds of a column's pair i the
    channels from `values * (l % 4)` on, for the filter that column `l // 4` of the product stands
    for: the columns are dealt so that the outputs of a lane are neighbours.
    """
    values = steps.block // 4
    together = min(steps.columns, 2)
    group, lane, column, pair, value = np.ogrid[
        : steps.columns // together, :32, :together, :2, :values
    ]
    tile = group * together + column
    in_job = lane // 8 * 2 * steps.columns + 2 * tile + lane // 4 % 2
    in_block = lane % 4 * values + value
    taps = blocks.tap_of(steps, phases)
    each = (slice(None), *[None] * 5)
    block = steps.pairs[..., 1]
    channel = block[:, pair[0, 0, 0, :, 0]][:, None, None, None, :, None] * steps.block + in_block
    tap = taps[:, None, None, None, :, None]
    packing = places[tap, channel, steps.job[each] * 8 * steps.columns + in_job]
    return np.where(tap >= 0, packing, -1).astype(np.int32).ravel()
