"""Extension of griffe: the examples of our docstrings as code blocks, sources by name."""

import re

import griffe

# `Example:`, a blank line, then lines of code with >>> or indented, up to the end or a blank line
# before something else.
_PROMPT = re.compile(r"^>>> .*(?:\n.+)*", re.MULTILINE)
_INDENTED = re.compile(r"^Example:\n\n((?:(?: {4}.*)?\n)*(?: {4}.*)(?=\n|\Z))", re.MULTILINE)


def readable(text):
    """Return a docstring as Markdown shows it well.

    Args:
        text: str.
    """
    text = _INDENTED.sub(lambda found: f"Example:\n\n```python\n{_dedented(found[1])}\n```", text)
    text = _PROMPT.sub(lambda found: f"```pycon\n{found[0]}\n```", text)
    text = re.sub(r"^Example:\n", "**Example**\n", text, flags=re.MULTILINE)
    return re.sub(r"^Reference: ", "**Source:** ", text, flags=re.MULTILINE)


def _dedented(lines):
    return "\n".join(line[4:] for line in lines.splitlines())


class Docstrings(griffe.Extension):
    """Makes every docstring readable when it is read."""

    def on_object(self, *, obj, **_):
        """Change the docstring of one object."""
        if obj.docstring:
            obj.docstring.value = readable(obj.docstring.value)
