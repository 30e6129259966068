"""Habits that hold for every file: documented names, examples that run, short files."""

import doctest
import importlib
import inspect
import pkgutil
import re
import tomllib
import types

import keras
import numpy as np
import pytest
from conftest import ROOT

import keras_ssc
import paper

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
MODULES = sorted(
    name
    for package in (keras_ssc, paper)
    for name in [package.__name__]
    + [m.name for m in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")]
)
SOURCES = sorted(
    file
    for folder in ("keras_ssc", "paper", "applications", "tests")
    for file in (ROOT / folder).rglob("*.py")
)


def public_names():
    """Return {dotted name: object} for all that `__all__` offers, modules opened."""
    found, waiting = {}, [keras_ssc]
    while waiting:
        module = waiting.pop()
        for name in module.__all__:
            value = getattr(module, name)
            if not isinstance(value, types.ModuleType):
                found[f"{module.__name__}.{name}"] = value
            elif hasattr(value, "__all__"):
                waiting.append(value)
    return found


PUBLIC = {
    name: value
    for name, value in public_names().items()
    if inspect.isclass(value) or inspect.isfunction(value)
}


@pytest.mark.parametrize("name", PUBLIC)
def test_public_name_has_a_docstring_with_an_example(name):
    text = inspect.getdoc(PUBLIC[name])
    assert text
    assert text.splitlines()[0].endswith(".")
    assert re.search(r"^Example:\n\n( *>>> | {4}\w)", text, re.MULTILINE)


@pytest.mark.parametrize("name", PUBLIC)
def test_docstring_names_every_argument(name):
    value = PUBLIC[name]
    text = inspect.getdoc(value)
    hidden = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    parameters = inspect.signature(value).parameters.values()
    arguments = [p.name for p in parameters if p.kind not in hidden]
    assert [name for name in arguments if not re.search(rf"\b{name}\b", text)] == []


HINTED = {
    name: value
    for name, value in PUBLIC.items()
    if value.__module__.split(".")[1]
    in ("_summary", "correlation", "initializers", "model_plots", "patterns", "plots")
    + ("regularizers", "sparsity")
    or value is keras_ssc.SSCConv2D
}


@pytest.mark.parametrize("name", HINTED)
def test_public_name_has_type_hints(name):
    value = HINTED[name]
    parameters = inspect.signature(value).parameters.values()
    plain = [p for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    assert [p.name for p in plain if p.annotation is p.empty] == []
    missing = inspect.Signature.empty
    assert inspect.isclass(value) or inspect.signature(value).return_annotation is not missing


def test_the_package_tells_type_checkers_of_its_hints():
    assert (ROOT / "keras_ssc" / "py.typed").exists()
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert "py.typed" in pyproject["tool"]["setuptools"]["package-data"]["keras_ssc"]


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # what an example writes stays out of the tree
    module = importlib.import_module(name)
    names = {"keras": keras, "keras_ssc": keras_ssc, "np": np}
    result = doctest.testmod(module, extraglobs=names, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.failed == 0


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: str(file.relative_to(ROOT)))
def test_file_is_short_and_says_what_it_is(file):
    text = file.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 300
    assert text.startswith('"""')


def test_extra_all_is_every_extra():
    extras = PROJECT["optional-dependencies"]
    (everything,) = extras["all"]
    named = re.fullmatch(r"keras-ssc\[(.*)\]", everything)[1].split(",")
    assert sorted(named) == sorted(extras.keys() - {"all", "nncf"})


def test_version_is_the_same_everywhere():
    assert keras_ssc.__version__ == PROJECT["version"]
    assert PROJECT["version"] in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
