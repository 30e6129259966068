"""What editors show of the builders, `applications/__init__.pyi`, is what they are when run.

python tests/applications/test_builder_stub.py && ruff format keras_ssc/applications
"""

import ast
import inspect
import textwrap
from pathlib import Path

import pytest

from keras_ssc import applications

STUB = Path(applications.__file__).with_suffix(".pyi")
HEAD = '''"""Builders of networks for editors; tests/applications/test_builder_stub.py writes it."""

import os
from collections.abc import Callable

import keras

'''


def words(annotation):
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)


def stub():
    """Return the text of the stub, not yet in ruff's format."""
    parts = [HEAD, f"__all__ = {applications.__all__!r}\n"]
    for name in applications.__all__:
        build = getattr(applications, name)
        signature = inspect.signature(build)
        parts += [f"\ndef {name}(\n    *,\n"]
        parts += [
            f"    {one.name}: {words(one.annotation)} = {one.default!r},\n"
            for one in signature.parameters.values()
        ]
        text = textwrap.indent(inspect.getdoc(build), "    ").strip()
        parts += [f') -> {words(signature.return_annotation)}:\n    """{text}\n    """\n']
    return "".join(parts)


@pytest.mark.parametrize("name", applications.__all__)
def test_the_stub_is_the_builder(name):
    build = getattr(applications, name)
    (found,) = (
        node
        for node in ast.parse(STUB.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef) and node.name == name
    )
    assert not found.args.args
    own = {
        one.arg: (ast.unparse(one.annotation), ast.literal_eval(default))
        for one, default in zip(found.args.kwonlyargs, found.args.kw_defaults, strict=True)
    }
    signature = inspect.signature(build)
    expected = {
        one.name: (words(one.annotation), one.default) for one in signature.parameters.values()
    }
    assert list(own) == list(expected)
    assert own == expected
    assert ast.unparse(found.returns) == words(signature.return_annotation)
    assert ast.get_docstring(found) == inspect.getdoc(build)


def test_the_stub_has_every_builder():
    tree = ast.parse(STUB.read_text(encoding="utf-8"))
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert functions == set(applications.__all__)


if __name__ == "__main__":
    STUB.write_text(stub(), encoding="utf-8")
