"""Whether two methods differ: Welch's test, corrected for the number of comparisons."""

import dataclasses
import statistics

import numpy as np

LEVEL = 0.05


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Two rows of a table, compared.

    Args:
        difference: float, mean accuracy of ours minus that of theirs.
        low, high: floats, the 95 % confidence interval of the difference.
        p: float, of Welch's test; adjusted where `compared` made the comparison.
    """

    difference: float
    low: float
    high: float
    p: float

    def __neg__(self):
        """The same comparison, theirs with ours."""
        return Comparison(-self.difference, -self.high, -self.low, self.p)

    @property
    def verdict(self):
        """ "beats" or "loses" where p is below 0.05, else "no difference shown"."""
        if self.p >= LEVEL:
            return "no difference shown"
        return "beats" if self.difference > 0 else "loses"

    def __str__(self):
        """The verdict, the difference with its interval in points, and p.

        Example:

        >>> str(Comparison(0.031, 0.011, 0.051, 0.012))
        'beats, +3.1 [+1.1, +5.1], p 0.012'
        """
        points = [f"{100 * value:+.1f}" for value in (self.difference, self.low, self.high)]
        p = "p < 0.001" if self.p < 0.001 else f"p {self.p:.3f}"
        return f"{self.verdict}, {points[0]} [{points[1]}, {points[2]}], {p}"


def welch(ours, theirs):
    """Return the `Comparison` of two samples by Welch's t-test; None where it has no answer.

        t = (m_1 - m_2) / s,   s^2 = v_1 / n_1 + v_2 / n_2
        degrees of freedom = s^4 / ((v_1 / n_1)^2 / (n_1 - 1) + (v_2 / n_2)^2 / (n_2 - 1))

    Args:
        ours, theirs: lists of floats. None is returned where one has fewer than two, or where
            neither has any spread.

    Example:

    >>> found = welch([0.5, 0.52, 0.54], [0.4, 0.43, 0.43])
    >>> round(found.difference, 3), round(found.p, 3)
    (0.1, 0.003)

    Reference: Welch, "The generalization of Student's problem when several different population
    variances are involved", Biometrika 1947.
    """
    from scipy import special

    if len(ours) < 2 or len(theirs) < 2:
        return None
    difference = statistics.mean(ours) - statistics.mean(theirs)
    parts = [statistics.variance(sample) / len(sample) for sample in (ours, theirs)]
    error = sum(parts) ** 0.5
    if not error:  # no run differs from the others of its row: nothing says how far chance reaches
        return None
    sizes = (len(ours), len(theirs))
    freedom = error**4 / sum(v**2 / (n - 1) for v, n in zip(parts, sizes, strict=True))
    reach = error * float(special.stdtrit(freedom, 0.975))
    p = 2 * float(special.stdtr(freedom, -abs(difference) / error))
    return Comparison(difference, difference - reach, difference + reach, p)


def benjamini_hochberg(values):
    """Return the adjusted p-values, in the order of the p-values.

        adjusted of the i-th smallest = min over j >= i of p_j * n / j, at most 1

    Below 0.05, at most one in twenty of the differences that are named is expected to be none.

    Args:
        values: list of floats.

    Example:

    >>> [round(p, 6) for p in benjamini_hochberg([0.03, 0.01, 0.2])]
    [0.045, 0.03, 0.2]

    Reference: Benjamini, Hochberg, "Controlling the false discovery rate", 1995.
    """
    values = np.asarray(values, "float64")
    order = np.argsort(values)
    scaled = values[order] * len(values) / np.arange(1, len(values) + 1)
    adjusted = np.empty(len(values))
    adjusted[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return adjusted.tolist()


def compared(pairs):
    """Return {name: `Comparison`, p adjusted for all of them}, those with too few runs left out.

    Args:
        pairs: dict, name -> (ours, theirs), lists of accuracies.

    Example:

    >>> compared({"a": ([0.5, 0.52], [0.1, 0.12]), "b": ([0.5], [0.1, 0.12])}).keys()
    dict_keys(['a'])
    """
    found = {name: welch(*pair) for name, pair in pairs.items()}
    found = {name: one for name, one in found.items() if one}
    adjusted = benjamini_hochberg([one.p for one in found.values()])
    return {
        name: dataclasses.replace(one, p=p)
        for (name, one), p in zip(found.items(), adjusted, strict=True)
    }
