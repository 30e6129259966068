"""Timing that can be believed: competitors take turns in one process; medians and spread."""

import time

import numpy as np


def interleaved(steps, rounds=15, warm_up=2, patience=30.0, progress=None, pause=0.0):
    """Time callables in turns, so that a busy moment hits all alike.

    Args:
        steps: dict of name -> callable that returns when its work is done.
        rounds: int, timed calls of each.
        warm_up: int, calls before the first timed one, of which the first compiles.
        patience: seconds; a callable that takes longer once it is compiled is timed once only.
        progress: callable that gets a line of text, or None.
        pause: seconds before each timed call: the threads of some runtimes go on spinning for a
            while, and would take the cores from the next competitor.

    Returns:
        dict of name -> list of seconds.
    """
    seconds = {name: [] for name in steps}
    slow = set()
    for name, step in steps.items():
        for turn in range(warm_up):
            start = time.perf_counter()
            step()
            if turn and time.perf_counter() - start > patience:
                slow.add(name)
                break
        if progress:
            progress(f"warm: {name}")
    for turn in range(rounds):
        for name, step in steps.items():
            if name in slow and turn:
                continue
            time.sleep(pause)
            start = time.perf_counter()
            step()
            seconds[name].append(time.perf_counter() - start)
        if progress:
            progress(f"round {turn + 1} of {rounds}")
    return seconds


def statistics(seconds):
    """Return the row entries of one competitor: median, quartiles and minimum in ms."""
    milliseconds = np.array(seconds) * 1e3
    low, median, high = np.percentile(milliseconds, [25, 50, 75])
    return {
        "median_ms": round(median, 3),
        "quartile_1_ms": round(low, 3),
        "quartile_3_ms": round(high, 3),
        "min_ms": round(milliseconds.min(), 3),
        "runs": len(milliseconds),
    }
