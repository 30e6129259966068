"""The live blocks of a layer: which (tap, block of channels) pairs the outputs of a job have.

A job is a run of 8 * columns neighbouring outputs; a step is two of its pairs, which one matrix
product of the tensor cores multiplies.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Steps:
    """The steps of all jobs of all phases.

    Args:
        pairs: int array (steps, 2, 2) of (index of the tap in its phase, block); -1: no pair.
        job: int array (steps,), the job of each step.
        phase: int array (steps,).
        starts: int array (phases * jobs + 1,), the first step of each job, and the end.
        block: int, channels of a block.
        columns: int, of 8 outputs, in a job.
        jobs: int.
    """

    pairs: np.ndarray
    job: np.ndarray
    phase: np.ndarray
    starts: np.ndarray
    block: int
    columns: int
    jobs: int


def live_of(places, block):
    """Return where weights are: bool array (taps, blocks, runs of 8 outputs).

    Args:
        places: int array (taps, inputs, outputs), negative where no weight is.
        block: int, channels of a block; divides the inputs.
    """
    taps, inputs, outputs = places.shape
    of_eight = (places >= 0).reshape(taps, inputs, outputs // 8, 8).any(axis=3)
    return of_eight.reshape(taps, inputs // block, block, outputs // 8).any(axis=2)


def steps_of(live, phases, block, columns):
    """Return the Steps of a pass.

    Args:
        live: as `live_of` gives it.
        phases: tuple of `reads.Phase`.
        block: int, channels of a block.
        columns: int, of 8 outputs, in a job; divides the runs of 8 outputs.
    """
    live = live.reshape(*live.shape[:2], -1, columns).any(axis=3)
    jobs = live.shape[2]
    pairs, job, phase, starts = [], [], [], [0]
    for number, own in enumerate(phases):
        of_phase = live[[tap for _, _, tap in own.taps]]
        for j in range(jobs):
            found = np.argwhere(of_phase[:, :, j])
            found = np.concatenate([found, np.full((len(found) % 2, 2), -1)])
            pairs.append(found.reshape(-1, 2, 2))
            job += [j] * len(pairs[-1])
            phase += [number] * len(pairs[-1])
            starts.append(len(job))
    integers = [np.array(list_, np.int32) for list_ in (job, phase, starts)]
    return Steps(np.concatenate(pairs).astype(np.int32), *integers, block, columns, jobs)


def blocks_of_parts(steps, part):
    """Return the blocks that each part of the work reads: int array (parts, most blocks of a part).

    A part with fewer blocks names one of them again.

    Args:
        steps: Steps.
        part: int array (steps,), the part of each step.
    """
    read = steps.pairs[..., 1]
    used = np.zeros((int(part.max(initial=0)) + 1, int(read.max(initial=0)) + 2), bool)
    used[part[:, None], read] = True  # -1, no block, is the last one
    lists = [np.flatnonzero(of_part) for of_part in used[:, :-1]]
    most = max(1, *map(len, lists))
    return np.array([np.resize(list_ if len(list_) else 0, most) for list_ in lists], np.int32)


def offsets_in_window(steps, phases, part, blocks, first, window, block_bytes):
    """Return the byte of each pair in a window, from what result (0, 0) reads first.

    Where a step has no second pair, its first one is named again: it has no weights there.

    Args:
        steps, part, blocks: as `blocks_of_parts` takes and gives them.
        phases: tuple of `reads.Phase`.
        first: (row, column) of the window's first pixel.
        window: `tiles.Window`.
        block_bytes: int, bytes of a block in a window.
    """
    offsets = np.zeros(steps.pairs.shape[:2], np.int32)
    for number, phase in enumerate(phases):
        taps = np.array([(row - first[0], column - first[1]) for row, column, _ in phase.taps])
        here = (steps.phase == number)[:, None] & (steps.pairs[..., 1] >= 0)
        if not here.any():
            continue
        tap, block = steps.pairs[here].T
        own = blocks[np.broadcast_to(part[:, None], here.shape)[here]]
        place = np.argmax(own == block[:, None], axis=1)
        offsets[here] = window.offset(*taps[tap].T) + place * block_bytes
    return np.where(steps.pairs[..., 1] >= 0, offsets, offsets[:, :1])


def tap_of(steps, phases):
    """Return the kernel's tap of each pair of each step: int array (steps, 2), -1: no pair."""
    kernel_tap = [np.array([*(tap for _, _, tap in own.taps), -1]) for own in phases]
    taps = np.full(steps.pairs.shape[:2], -1)
    for number, own in enumerate(kernel_tap):
        here = steps.phase == number
        taps[here] = own[steps.pairs[here][..., 0]]
    return taps


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
    taps = tap_of(steps, phases)
    each = (slice(None), *[None] * 5)
    block = steps.pairs[..., 1]
    channel = block[:, pair[0, 0, 0, :, 0]][:, None, None, None, :, None] * steps.block + in_block
    tap = taps[:, None, None, None, :, None]
    packing = places[tap, channel, steps.job[each] * 8 * steps.columns + in_job]
    return np.where(tap >= 0, packing, -1).astype(np.int32).ravel()
