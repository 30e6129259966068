"""GraSP's learning rate."""

import keras


def drop_at(shares, learning_rate, steps):
    """Return a schedule: x0.1 after each of some shares of the steps.

    Args:
        shares: tuple of floats in (0, 1), ascending.
        learning_rate: float, before the first drop.
        steps: int, of the complete training.

    Example:

    >>> schedule = drop_at((0.5, 0.75), 0.5, 8)
    >>> [round(float(schedule(step)), 4) for step in range(8)]
    [0.5, 0.5, 0.5, 0.5, 0.05, 0.05, 0.005, 0.005]

    Reference: GraSP's recipe (paper, section 4).
    """
    # A boundary belongs to the rate before it: the first step of the next part is one later.
    # Boundaries must ascend, also where there are fewer steps than parts.
    boundaries = [max(int(share * steps) - 1, place) for place, share in enumerate(shares)]
    rates = [learning_rate * 0.1**place for place in range(len(shares) + 1)]
    return keras.optimizers.schedules.PiecewiseConstantDecay(boundaries, rates)


def drop_at_half_and_three_quarters(learning_rate, steps):
    """Return the schedule of GraSP's recipe: x0.1 after 50 % and after 75 % of the steps.

    Args:
        learning_rate: float, of the first half.
        steps: int, of the complete training.

    Example:

    >>> schedule = drop_at_half_and_three_quarters(0.5, 8)
    >>> [round(float(schedule(step)), 4) for step in range(8)]
    [0.5, 0.5, 0.5, 0.5, 0.05, 0.05, 0.005, 0.005]

    Reference: GraSP's recipe (paper, section 4).
    """
    return drop_at((0.5, 0.75), learning_rate, steps)
