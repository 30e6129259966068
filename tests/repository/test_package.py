"""What is installed: extras, the command, versions that are promised and tried."""

import re
import tomllib

import pytest
from conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
SOURCES = sorted((ROOT / "keras_ssc").rglob("*.py"))
PAGES = sorted(ROOT.glob("*.md")) + sorted((ROOT / "docs").glob("*.md"))


def brought(extra):
    """The names of all packages of an extra, extras inside it opened."""
    found = set()
    for requirement in EXTRAS[extra]:
        inside = re.fullmatch(r"keras-ssc\[(.*)\]", requirement)
        if inside:
            found |= {name for one in inside[1].split(",") for name in brought(one)}
        else:
            found.add(re.match(r"[\w-]+", requirement)[0])
    return found


def test_the_base_brings_no_backend():
    names = [re.match(r"[\w-]+", one)[0] for one in PROJECT["dependencies"]]
    assert names == ["filelock", "keras", "numpy"]
    assert brought("jax") == {"jax"}


@pytest.mark.parametrize("extra", ["train", "litert", "onnx", "openvino", "notebooks", "dev"])
def test_an_extra_alone_brings_the_backend_it_needs(extra):
    assert "tensorflow" in brought(extra)


@pytest.mark.parametrize("file", SOURCES + PAGES, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_printed_pip_install_works_as_printed(file):
    for words in re.findall(r"pip install (?:-\S+ )*(.{0,60})", file.read_text(encoding="utf-8")):
        if "keras-ssc" not in words[:12]:
            continue
        # zsh takes [ ] for a pattern where there are no quotes.
        named = re.match(r'"keras-ssc\[([\w,{}]+)\]"|keras-ssc(?!\[)', words)
        assert named, words
        if named[1] and "{" not in named[1]:
            assert set(named[1].split(",")) <= set(EXTRAS), words


def test_ci_tries_the_oldest_versions_that_are_promised():
    workflow = (ROOT / ".github" / "workflows" / "tests.yml").read_text(encoding="utf-8")
    oldest = re.search(r"packages: keras==([\d.]+) tensorflow==([\d.]+)", workflow).groups()
    promised = [*PROJECT["dependencies"], *EXTRAS["tensorflow"]]
    for name, version in zip(("keras", "tensorflow"), oldest, strict=True):
        (bound,) = [one for one in promised if one.startswith(f"{name}>=")]
        assert version.startswith(f"{bound.partition('>=')[2]}.")


def test_release_tries_the_versions_of_python_that_are_promised():
    workflow = (ROOT / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8")
    tried = re.search(r"python: \[(.*)\]", workflow)[1].replace('"', "").split(", ")
    words = "Programming Language :: Python :: "
    named = [one.removeprefix(words) for one in PROJECT["classifiers"] if one.startswith(words)]
    assert [version for version in named if "." in version] == tried
    assert PROJECT["requires-python"] == f">={tried[0]}"


def test_the_citation_has_this_version():
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {PROJECT['version']}\n" in text


def test_without_a_backend_the_error_says_what_to_install(monkeypatch):
    from keras_ssc import start

    def no_backend(name):
        raise ModuleNotFoundError("No module named 'jax'", name="jax")

    monkeypatch.setattr("importlib.import_module", no_backend)
    with pytest.raises(ImportError, match=r'jax is not installed: pip install "keras-ssc\[tenso'):
        start.import_keras()


def test_quiet_keeps_lines_away_unless_something_goes_wrong(capfd):
    import os

    from keras_ssc.start import quiet

    with quiet():
        os.write(2, b"noise\n")
    assert capfd.readouterr().err == ""
    with pytest.raises(ZeroDivisionError), quiet():
        os.write(1 + 1, b"the cause\n") / 0
    assert capfd.readouterr().err == "the cause\n"
