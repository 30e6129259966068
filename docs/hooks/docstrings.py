"""Extension of griffe: true signatures of the builders, examples as code blocks."""

import importlib
import inspect
import re

import griffe

_PROMPT = re.compile(r"^>>> .*(?:\n.+)*", re.MULTILINE)
_INDENTED = re.compile(r"^Example:\n\n((?:(?: {4}.*)?\n)*(?: {4}.*)(?=\n|\Z))", re.MULTILINE)
_NAMES_ON_TWO_LINES = re.compile(r"^( {4}[\w, ]+,)\n +([\w, ]+:)", re.MULTILINE)


def readable(text):
    """Return a docstring as Markdown shows it well.

    Args:
        text: str.
    """
    text = _NAMES_ON_TWO_LINES.sub(r"\1 \2", text)
    text = _INDENTED.sub(lambda found: f"Example:\n\n```python\n{_dedented(found[1])}\n```", text)
    text = _PROMPT.sub(lambda found: f"```pycon\n{found[0]}\n```", text)
    text = re.sub(r"^Example:\n", "**Example**\n", text, flags=re.MULTILINE)
    return re.sub(r"^Reference: ", "**Source:** ", text, flags=re.MULTILINE)


def _dedented(lines):
    return "\n".join(line[4:] for line in lines.splitlines())


class Docstrings(griffe.Extension):
    """Makes every docstring readable, and takes what a decorator made from the imported package."""

    def on_object(self, *, obj, **_):
        """Change one object of the package."""
        if obj.is_alias:
            return
        if (obj.is_function or obj.is_attribute) and obj.parent.is_module:
            value = getattr(importlib.import_module(obj.module.path), obj.name, None)
            if callable(value) and hasattr(value, "__signature__"):
                obj = _function(obj, value)
        if obj.docstring:
            obj.docstring.value = readable(obj.docstring.value)


def _function(obj, value):
    """A builder as griffe has functions; one that a function made is an attribute to it."""
    if obj.is_attribute:
        made = griffe.Function(obj.name, lineno=obj.lineno, endlineno=obj.endlineno)
        obj.parent.set_member(obj.name, made)
        obj = made
    obj.docstring = griffe.Docstring(inspect.getdoc(value), parent=obj)
    obj.parameters = _parameters(inspect.signature(value))
    return obj


def _parameters(signature):
    """The parameters of a signature as griffe has them."""
    return griffe.Parameters(
        *(
            griffe.Parameter(
                one.name,
                kind=getattr(griffe.ParameterKind, one.kind.name.lower()),
                default=None if one.default is one.empty else repr(one.default),
            )
            for one in signature.parameters.values()
        )
    )
