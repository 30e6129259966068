"""Tables of pages, and sections that a program makes, between two marks."""

import re

END = "<!-- end of what is made -->"


def table(head, rows):
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def with_section(text, maker, section, source=""):
    """Return a page with a new section between the marks of its maker.

    Args:
        text: str, the page.
        maker: str, the program.
        section: str.
        source: str, words on what it is made from.

    Raises:
        ValueError: the page has no such marks, or several.
    """
    marks = rf"<!-- made by {re.escape(maker)}[^>]*-->.*?{re.escape(END)}"
    new = f"<!-- made by {maker}{source} -->\n\n{section}\n\n{END}"
    text, found = re.subn(marks, lambda _: new, text, flags=re.DOTALL)
    if found != 1:
        raise ValueError(
            f"The page must have the marks of one section of {maker}. Received: {found}"
        )
    return text
