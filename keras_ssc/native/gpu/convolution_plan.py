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


def plan(places, reads, batch, itemsize, max_shared, numbers=None):
    """Return the ConvolutionPlan that should take least time, or None where none fits.

    Args:
        places: int array (taps, inputs, outputs) of this pass, from `order.weight_places`.
        reads: `reads.Reads`.
        batch: int, images.
        itemsize: int, bytes of a value: 2 (bfloat16) or 4 (float32).
        max_shared: int, bytes of shared memory that a block may have.
        numbers: dict, `numbers_of` the Choice that was measured as the fastest, or None.
    """
    best = numbers and measured_choice(numbers, places, reads, itemsize, max_shared)
    if best:
        return made(best, places, reads, batch, itemsize)
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


def numbers_of(choice):
    """Return what tells a Choice from the others of its pass: dict of ints."""
    tile, warps = choice.tile, choice.warps
    return {"columns": choice.steps.columns, "parts": len(choice.own.read),
            "stages": choice.stages, "along_pixels": warps.along_pixels,
            "along_jobs": warps.along_jobs, "rows": warps.rows, "tile_images": tile.images,
            "tile_rows": tile.rows, "tile_columns": tile.columns,
            "at_a_time": choice.at_a_time}  # fmt: skip


def measured_choice(numbers, places, reads, itemsize, max_shared):
    """Return the Choice with these numbers, or None where it does not fit here."""
    columns = numbers["columns"]
    if places.shape[2] % (8 * columns):
        return None
    steps = blocks.steps_of(places, reads.phases, 16 // itemsize, columns)
    own = _parts(steps, min(numbers["parts"], steps.jobs))
    warps = Warps(numbers["along_pixels"], numbers["along_jobs"], numbers["rows"])
    sizes = (numbers["tile_images"], numbers["tile_rows"], numbers["tile_columns"])
    tile = tiles.tile_of(*sizes, reads)
    choice = Choice(0, steps, own, numbers["stages"], warps, tile, numbers["at_a_time"])
    fits = tile.results <= warps.results and _shared_of(choice, reads) <= max_shared
    return choice if fits and max(tile.window) <= tiles.MAX_SIDE else None


def _shared_of(choice, reads):
    """Bytes of shared memory that a block needs."""
    window = tiles.window_of(choice.tile, reads, choice.own.read.shape[1], 16)
    sizes = (choice.warps.results, choice.tile.window_pixels, window.bytes, choice.stages)
    return _sections(choice.steps, choice.own, *sizes)[1]


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


def _fitted(steps, own, warps, stages, together, reads, batch, max_shared):
    """The Choice with the best tile, or None where none fits."""
    pieces = own.read.shape[1]
    room = max_shared - _sections(steps, own, warps.results, 0, 0, stages)[1]
    most_pixels = room // (12 + stages * 16 * pieces)

    def shared_of(tile):
        return _shared_of(Choice(0, steps, own, stages, warps, tile, 1), reads)

    work = warps.results * blocks.work_of(steps)  # unused rows are computed too
    load = launch.LOAD * pieces * len(own.read)
    found = tiles.best_tile(
        *(reads, batch, warps.results, lambda _: work, load, most_pixels),
        lambda tile: shared_of(tile) <= max_shared,
    )
    if found is None:
        return None
    cost, tile = found
    cost *= launch.WAITS if stages == 1 else 1
    shared = shared_of(tile)
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
