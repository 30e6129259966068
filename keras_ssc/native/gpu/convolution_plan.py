"""The plan of a convolution, or of its gradient by the input: tables, packing and launch."""

from dataclasses import dataclass

import numpy as np

from keras_ssc.native.gpu import blocks, launch, tiles

# Warps along the pixels, and the rows of 16 pixels of each: 8 warps compute 128 results.
WARPS_ALONG_PIXELS = {4: (2, 4), 2: (4, 2), 1: (8, 1)}


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
    steps = blocks.best_steps(places, reads.phases, 16 // itemsize)
    found = []
    for parts in sorted({2**n for n in range(steps.jobs.bit_length())} | {steps.jobs}):
        for stages in (2, 1):
            choice = _fitted(steps, reads, batch, parts, stages, max_shared)
            if choice:
                found.append(choice)
    if not found:
        return None
    _, own, stages, tile = min(found, key=lambda choice: choice[0])
    return ConvolutionPlan(
        _launch(steps, reads, batch, itemsize, own, stages, tile, places.shape),
        packing_of(steps, places, reads.phases),
    )


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


def _sections(steps, own, window_pixels, stages):
    pitch = launch.pitch_of(own.read.shape[1], 16)
    return launch.laid_out(
        steps=8 * (own.most_steps + 1),
        starts=4 * (own.jobs + 1),
        pieces=4 * own.read.shape[1],
        pixels=4 * window_pixels,
        places=4 * launch.RESULTS,
        weights=256 * steps.columns * (own.most_steps + 1),
        windows=stages * window_pixels * pitch,
    )


def _fitted(steps, reads, batch, parts, stages, max_shared):
    """(cost, Parts, stages, Tile) for so many parts, or None."""
    own = _parts(steps, parts)
    pieces = own.read.shape[1]
    room = max_shared - _sections(steps, own, 0, stages)[1] - 256
    most_pixels = room // (4 + stages * launch.pitch_of(pieces, 16))
    work = launch.RESULTS * blocks.work_of(steps)  # unused rows are computed too
    load = launch.LOAD * pieces * len(own.read)
    found = tiles.best_tile(reads, batch, launch.RESULTS, lambda _: work, load, most_pixels)
    if found is None:
        return None
    cost, tile = found
    cost *= launch.WAITS if stages == 1 else 1
    shared = _sections(steps, own, tile.window_pixels, stages)[1]
    cost *= launch.ALONE if 2 * shared > max_shared else 1
    return cost, own, stages, tile


def _launch(steps, reads, batch, itemsize, own, stages, tile, shape):
    _, inputs, outputs = shape
    pieces = own.read.shape[1]
    pitch = launch.pitch_of(pieces, 16)
    at, shared = _sections(steps, own, tile.window_pixels, stages)
    counts = tiles.counts(tile, reads, batch)
    offsets = blocks.offsets_in_window(
        steps, reads.phases, own.part, own.read, reads.first, tile.window[1] * pitch, pitch, 16
    )
    together = 2 if steps.columns == 1 and itemsize == 2 else 1
    along_jobs = max(n for n in WARPS_ALONG_PIXELS if n <= -(-own.jobs // together))
    along_pixels, rows = WARPS_ALONG_PIXELS[along_jobs]
    problem = {
        **launch.window_fields(reads, tile, counts, batch),
        **at,
        "in_pieces": inputs * itemsize // 16,
        "outputs": outputs,
        "pieces": pieces,
        "pitch": pitch,
        "jobs": steps.jobs,
        "jobs_of_part": own.jobs,
        "stages": stages,
    }
    return launch.Launch(
        kernel="convolve",
        defines={
            "BF16": int(itemsize == 2),
            "NT": steps.columns,
            "MT": rows,
            "WM": along_pixels,
            "WJ": along_jobs,
            "JG": together,
        },
        parts=len(own.read),
        phases=len(reads.phases),
        tiles=counts[0],
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
