"""GraSP's learning rate."""

import keras


def drop_at_half_and_three_quarters(learning_rate, steps):
    """Return the schedule of GraSP's recipe: x0.1 after 50 % and after 75 % of the steps.

    Args:
        learning_rate: float, of the first half.
        steps: int, of the whole training.

    Example:

    >>> schedule = drop_at_half_and_three_quarters(0.5, 8)
    >>> [round(float(schedule(step)), 4) for step in range(8)]
    [0.5, 0.5, 0.5, 0.5, 0.05, 0.05, 0.005, 0.005]

    Reference: GraSP's recipe (paper, section 4).
    """
    return keras.optimizers.schedules.PiecewiseConstantDecay(
        # A boundary belongs to the rate before it: the first step of the next part is one later.
        [max(steps // 2 - 1, 0), max(steps * 3 // 4 - 1, 1)],
        [learning_rate, learning_rate * 0.1, learning_rate * 0.01],
    )
