"""The live blocks of a layer: which (tap, block of channels) pairs the outputs of a job have.

A job is a run of 8 * columns neighbouring outputs; a step is two of its pairs, which one matrix
product of the tensor cores multiplies.
"""

from dataclasses import dataclass

import numpy as np

# A step costs the read of its pixels beside its products: in units of products of 8 columns. From
# a profile of such a kernel on an H200, where the reads of shared memory were nearest to the limit.
READ = 2


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


def steps_of(places, phases, block, columns):
    """Return the Steps of a pass.

    Args:
        places: int array (taps, inputs, outputs), negative where no weight is.
        phases: tuple of `reads.Phase`.
        block: int, channels of a block; divides the inputs.
        columns: int; 8 * columns divides the outputs.
    """
    taps, inputs, outputs = places.shape
    jobs = outputs // (8 * columns)
    live = (places >= 0).reshape(taps, inputs // block, block, jobs, 8 * columns).any(axis=(2, 4))
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


def work_of(steps):
    """The work of one result of each job, in products of 8 columns."""
    return len(steps.job) * (READ + steps.columns)


def blocks_of_parts(steps, part):
    """Return the blocks that each part of the work reads: int array (parts, most blocks of a part).

    A part with fewer blocks names one of them again.

    Args:
        steps: Steps.
        part: int array (steps,), the part of each step.
    """
    lists = []
    for number in range(int(part.max(initial=0)) + 1):
        used = steps.pairs[part == number][..., 1]
        lists.append(np.unique(used[used >= 0]))
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
