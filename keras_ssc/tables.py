"""Tables as text."""


def text_table(head, lines, left):
    """Return a table with aligned columns and a rule below its head.

    Args:
        head: tuple of str.
        lines: list of tuples of str, as long as `head`.
        left: indices of the columns that are aligned to the left.

    Example:

    >>> print(text_table(("layer", "weights"), [("conv", "1,728"), ("fc", "10")], left=[0]))
    layer  weights
    --------------
    conv     1,728
    fc          10
    """
    everything = [head, *lines]
    widths = [max(len(line[column]) for line in everything) for column in range(len(head))]
    rows = [
        "  ".join(
            cell.ljust(width) if column in left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in everything
    ]
    rows.insert(1, "-" * max(len(row) for row in rows))
    return "\n".join(rows)
