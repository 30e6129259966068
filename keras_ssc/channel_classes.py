"""Channels by residue class modulo g: what makes of a sparse convolution g small dense ones.

With g dividing M, the KxK kernels of filter n lie on the channels m = s(n) mod g and on no others.
So with channels and filters in the order of their classes the KxK part is a grouped convolution.
"""

import numpy as np


def filter_classes(pattern):
    """Return the class of each filter, s(n) mod g: int array (N,). Needs g > 0."""
    return pattern.shifts % pattern.g


def filter_counts(pattern):
    """Return how many filters each class has: int array (g,)."""
    return np.bincount(filter_classes(pattern), minlength=pattern.g)


def equally_many_filters(pattern):
    """Whether all classes have the same number of filters, as a library's operation asks for."""
    return len(set(filter_counts(pattern))) == 1


def why_no_classes(pattern):
    """Return why the KxK part is no set of smaller convolutions, or None where it is."""
    if pattern.g == 0:
        return "g = 0: there is no KxK part to group"
    if pattern.g == 1:
        return "g = 1: the one group is the dense kernel"
    if pattern.in_channels % pattern.g:
        return f"g = {pattern.g} does not divide the {pattern.in_channels} input channels"
    return None


def filters_by_class(pattern):
    """Return the filters class after class, each class in its own order: int array (N,)."""
    return np.argsort(filter_classes(pattern), kind="stable")


def filters_by_reads(pattern):
    """Return the filters class after class, those of equal positions side by side: int array (N,).

    Serves every g; for g = 0 each shift is a class.
    """
    shifts = pattern.shifts % pattern.in_channels
    classes = shifts % pattern.g if pattern.g else shifts
    return np.lexsort((pattern.parities, shifts, classes))


def residues_first(channels, g):
    """Return channels by class, 0, g, 2g, ..., then 1, g + 1, ...: int array (channels,).

    Needs g to divide `channels`. `x[..., residues_first(channels, g)]` is then a reshape to
    (..., channels / g, g) and a transposition of the last two axes.
    """
    return np.arange(channels).reshape(-1, g).T.ravel()


def is_residues_first(order, g):
    """Whether `order` is that of `residues_first`, for whatever number of channels."""
    return len(order) % g == 0 and np.array_equal(order, residues_first(len(order), g))


def is_by_class(order, g):
    """Whether channels come class after class: those of class 0, then of class 1, ..."""
    return np.array_equal(order % g, np.sort(order % g))
