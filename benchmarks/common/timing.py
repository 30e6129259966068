"""Timing that can be believed: competitors take turns in one process; medians and spread."""

import gc
import math
import random
import time

import numpy as np

FEWEST_ROUNDS = 3


def interleaved(
    steps,
    rounds=15,
    *,
    seconds=math.inf,
    warm_up=2,
    patience=30.0,
    burst=0.05,
    pause=0.05,
    progress=None,
):
    """Time callables in turns, in a new order every round, so that a busy moment hits all alike.

    A short step is called several times a turn, after a call that is not counted: its caches are
    warm, as they are where the same network computes one batch after another.

    Args:
        steps: dict of name -> callable that returns when its work is done.
        rounds: int, turns of each.
        seconds: of all rounds together; no round begins later, after the first three.
        warm_up: int, at least 2, calls before the first turn, of which the first compiles.
        patience: seconds; a callable that takes longer once it is compiled gets one turn only.
        burst: seconds that the calls of one turn should last together.
        pause: seconds before each turn: the threads of some runtimes keep spinning for a while,
            and would take the cores from the next competitor.
        progress: callable that gets a line of text, or None.

    Returns:
        dict of name -> list of seconds a call, one entry for each round.
    """
    # As in `timeit`: no collection of garbage in the middle. (Nor while TensorFlow traces, when
    # each would look through all the graphs that are there already.)
    collected = gc.isenabled()
    gc.disable()
    try:
        return _take_turns(steps, rounds, seconds, warm_up, patience, burst, pause, progress)
    finally:
        if collected:
            gc.enable()


def _take_turns(steps, rounds, seconds, warm_up, patience, burst, pause, progress):
    tell = progress or (lambda line: None)
    calls = {}
    for name, step in steps.items():
        begun = time.perf_counter()
        step()
        tell(f"ready after {time.perf_counter() - begun:.1f} s: {name}")
        took = min(_timed(step) for _ in range(max(1, warm_up - 1)))
        wanted = max(1, min(100, math.ceil(burst / max(took, 1e-9))))
        calls[name] = 0 if took > patience else wanted
    taken = {name: [] for name in steps}
    order, shuffle = list(steps), random.Random(0).shuffle
    begun = time.perf_counter()
    for turn in range(rounds):
        if turn >= FEWEST_ROUNDS and time.perf_counter() - begun > seconds:
            break
        shuffle(order)
        for name in order:
            if turn and not calls[name]:
                continue
            time.sleep(pause)
            if calls[name] > 1:
                steps[name]()
            taken[name].append(_timed(steps[name], max(1, calls[name])))
        tell(f"round {turn + 1} of {rounds} after {time.perf_counter() - begun:.0f} s")
    return taken


def _timed(step, calls=1):
    begun = time.perf_counter()
    for _ in range(calls):
        step()
    return (time.perf_counter() - begun) / calls


def statistics(seconds):
    """Return the row entries of one competitor: median, quartiles and minimum in ms."""
    milliseconds = np.array(seconds) * 1e3
    low, median, high = np.percentile(milliseconds, [25, 50, 75])
    return {
        "median_ms": round(median, 3),
        "quartile_1_ms": round(low, 3),
        "quartile_3_ms": round(high, 3),
        "min_ms": round(milliseconds.min(), 3),
        "rounds": len(milliseconds),
    }
