"""What the tests of misuse share: hostile values, the rule for refusals, and the count of cases.

`FUZZ=300 pytest -m fuzz` (`make fuzz`) runs 300 times as many cases as CI, and new ones each time.
"""

import collections
import functools
import os
import re

import keras
import numpy as np
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

TIMES = int(os.environ.get("FUZZ", "1"))
# {area: {outcome: cases}}; printed at the end of `make fuzz`.
OUTCOMES = collections.defaultdict(collections.Counter)
# {what went wrong: one case}; with `FUZZ` a finding does not end the search.
FINDINGS = {}

HOSTILE = [
    None, True, False, np.True_, -1, 0, 1, 2, 7, 2**31, 2**63, 10**30, -(10**30), 0.0, -0.5, 0.5,
    1.0, 2.0, 2.5, 1e-300, 1e300, float("nan"), float("inf"), float("-inf"), 1j, np.int64(2),
    np.uint8(3), np.int8(-2), np.float32(0.5), np.float64("nan"), np.array(2), np.array([2, 2]),
    np.array([]), np.zeros((2, 2)), "", "2", "0.9", "same", "nonsense", "\x00", "é" * 300, b"same",
    [], [1], [2, 2], (1, 2, 3), (None, None), (2, "2"), [[2, 2]], {}, {"a": 1}, {1, 2}, object(),
    object, len, lambda x: x, range(2), Ellipsis, NotImplemented, keras.layers.ReLU,
]  # fmt: skip


def hostile():
    """Any of the hostile values, or a number, string or list that hypothesis thinks of."""
    number = st.one_of(st.integers(-(2**70), 2**70), st.floats())
    return st.one_of(
        st.sampled_from(HOSTILE), number, st.text(max_size=4), st.lists(number, max_size=3)
    )


def budget(cases):
    """Settings for so many cases in CI, `FUZZ` times as many by hand."""
    return settings(
        max_examples=cases * TIMES,
        deadline=None,
        derandomize=TIMES == 1,
        database=None,
        phases=[Phase.generate],  # to make a case smaller takes minutes
        suppress_health_check=list(HealthCheck),
    )


def count(area, outcome):
    """Note the outcome of one case."""
    OUTCOMES[area][outcome] += 1


def finding(test):
    """Decorate a test of one case: by hand what goes wrong is noted, and the next case tried."""

    @functools.wraps(test)
    def noted(*arguments, **options):
        try:
            test(*arguments, **options)
        except Exception as error:
            if TIMES == 1:
                raise
            count(test.__name__, "FINDING")
            text = f"{test.__name__}: {type(error).__name__}: {error}"
            FINDINGS.setdefault(
                re.sub(r"[\d.]+|\[.*?\]", "#", text)[:130], f"{text}\n{arguments} {options}"[:1200]
            )

    return noted


def refused(area, error, names, received):
    """Check that a refusal is of the right kind and names one of the arguments."""
    text = f"{type(error).__name__}: {error}"[:300]
    assert isinstance(error, (TypeError, ValueError)), f"{text}\nfor {received}"
    named = any(re.search(rf"\b{re.escape(name)}\b", str(error)) for name in names)
    assert named, f"{text}\nnames none of {sorted(names)}, for {received}"
    count(area, f"refused, {type(error).__name__}")


def refusal(function, *arguments, **options):
    """Return (result, None), or (None, the exception); what is no Exception goes through."""
    try:
        return function(*arguments, **options), None
    except Exception as error:
        return None, error


def table():
    """The counts as lines of text."""
    lines = []
    for area, outcomes in OUTCOMES.items():
        words = ", ".join(f"{number:,} {outcome}" for outcome, number in sorted(outcomes.items()))
        lines.append(f"{area:<24}{sum(outcomes.values()):>8,} cases: {words}")
    lines += [f"FINDING {text}" for text in FINDINGS.values()]
    every = sum(sum(outcomes.values()) for outcomes in OUTCOMES.values())
    return "\n".join([*lines, f"{'all':<24}{every:>8,} cases"])
