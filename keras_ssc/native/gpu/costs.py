"""How long a plan should take, in clocks of a multiprocessor.

The blocks of threads on a multiprocessor share what reads, copies and multiplies: there their times
add up. What one of them waits for (a barrier, a value, the product before) the others fill.

The numbers are fitted by benchmarks/gpu_costs.py to all passes at once: to the 4,153 plans in
benchmarks/results/gpu-all-plans-nvidia-h200.csv.gz (bfloat16, batch 256, clocks at 1.98 GHz).
"""

import numpy as np

MULTIPROCESSORS = 132  # of that card

# What keeps a multiprocessor busy.
READ = 1.6  # a read of four 8x8 matrices, or of as many weights, from shared memory
COPY = 0.36  # 16 bytes from global to shared memory
WRITE = 8.4  # 16x8 results
SUM = 46  # 16x8 sums, added to those in global memory

# What a block waits for.
TILE = 340  # barriers and addresses of a tile
WINDOW = 970  # the copies of a window, where none is loaded ahead
STEP = 59  # the reads of a step
PRODUCT = 8.3  # a product of a step


def waits(steps, products, stages):
    """What a block waits for in a tile: of so many steps one after the other, so many products
    each, with so many windows in shared memory."""
    return TILE + steps * (STEP + products * PRODUCT) + WINDOW * (stages == 1)


def clocks(busy, waits, once, tiles, groups, at_a_time, multiprocessors):
    """Return how long a launch takes: number, or array for many tiles.

    Args:
        busy: clocks of a block for a tile, in which no other one is served.
        waits: those in which others are.
        once: those of a block at its start or end.
        tiles: int.
        groups: int, parts * phases: each of them walks along all tiles.
        at_a_time: int, blocks that a multiprocessor holds.
        multiprocessors: int, of the device.
    """
    along = np.minimum(np.maximum(at_a_time * multiprocessors // groups, 1), tiles)  # handler.cc
    rounds = -(-tiles // along)
    last = tiles - (rounds - 1) * along
    of_round, of_last = (-(-count * groups // multiprocessors) for count in (along, last))
    one_by_one = (rounds - 1) * of_round + of_last
    return one_by_one * busy + rounds * waits + of_round * once
