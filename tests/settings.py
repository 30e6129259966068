"""Hypothesis strategies for legal patterns and layer settings."""

from hypothesis import strategies as st


@st.composite
def patterns(draw, max_channels=20, max_filters=20):
    """Keyword arguments of a legal SSCPattern."""
    M = draw(st.integers(1, max_channels))
    N = draw(st.integers(1, max_filters))
    kernel = st.sampled_from([1, 2, 3, 3, 3, 4, 5, 7])
    K = draw(st.one_of(kernel.map(lambda k: (k, k)), st.tuples(kernel, kernel)))
    dense_taps = draw(st.booleans())
    may_group = K != (1, 1) or dense_taps
    divisors = [g for g in range(1, M + 1) if M % g == 0]
    any_g = st.one_of(st.sampled_from(divisors), st.integers(0, M))
    g = draw(any_g) if may_group else 0
    free = M - (M // g if g else 0)
    p = draw(st.integers(0 if g else 1, free))
    shift = draw(st.sampled_from(["cyclic", "block"]))
    return {
        "in_channels": M,
        "filters": N,
        "kernel_size": K,
        "g": g,
        "p": p,
        "shift": shift,
        "parity": draw(st.sampled_from(["halves", "alternate"])),
        "dense_taps": dense_taps,
        "set_offset": draw(st.integers(0, 5)) if shift == "cyclic" else 0,
    }


@st.composite
def layers(draw):
    """(pattern arguments, layer geometry, input size, batch) that fit each other."""
    pattern = draw(patterns(max_channels=12, max_filters=12))
    one_or_two = st.tuples(st.integers(1, 3), st.integers(1, 3))
    strides, dilation = (1, 1), (1, 1)
    if draw(st.booleans()):
        strides = draw(one_or_two)
    else:
        dilation = draw(one_or_two)
    padding = draw(st.sampled_from(["same", "valid"]))
    sizes = []
    for kernel, rate in zip(pattern["kernel_size"], dilation, strict=True):
        smallest = (kernel - 1) * rate + 1 if padding == "valid" else 1
        sizes.append(draw(st.integers(smallest, smallest + 6)))
    geometry = {"strides": strides, "dilation_rate": dilation, "padding": padding}
    return pattern, geometry, tuple(sizes), draw(st.integers(1, 3))
