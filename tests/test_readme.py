"""The README tells the truth: its Python runs, its commands and files exist."""

import argparse
import re
from pathlib import Path

import pytest
from conftest import ROOT

from keras_ssc.cli.command import SUBCOMMANDS

TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
SPEED = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def blocks(language, text=TEXT):
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def programs_called(text):
    """Return every (program, [flags]) that the shell blocks call."""
    lines = "\n".join(blocks("sh", text)).replace("\\\n", " ").splitlines()
    calls = [re.search(r"python ((?:applications|benchmarks)/\w+\.py)(.*)", line) for line in lines]
    return [(call[1], re.findall(r"--[\w-]+", call[2])) for call in calls if call]


@pytest.mark.slow
def test_python_blocks_run_in_order(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    assert blocks("python")
    for number, block in enumerate(blocks("python"), start=1):
        exec(compile(block, f"README.md, Python block {number}", "exec"), names)


@pytest.mark.parametrize(
    ("text", "folder"), [(TEXT, "."), (SPEED, "docs")], ids=("README", "speed")
)
def test_links_lead_to_files(text, folder):
    links = re.findall(r"\]\(([^)]+)\)|src=\"([^\"]+)\"", text)
    local = [a or b for a, b in links if not (a or b).startswith(("http", "#"))]
    assert local
    assert [link for link in local if not (ROOT / folder / link).exists()] == []


def test_benchmarks_named_in_text_exist():
    named = re.findall(r"`(benchmarks/[\w./-]+)`", TEXT + SPEED)
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_paths_in_the_map_of_folders_exist():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    paths = re.findall(r"`([\w./]+)`", "".join(re.findall(r"^\| `.*?\|", text, re.MULTILINE)))
    assert len(paths) > 10
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_make_targets_exist():
    targets = set(re.findall(r"\bmake ([a-z][\w-]+)", "\n".join(blocks("sh"))))
    assert {"train", "test"} <= targets
    for target in targets:
        assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE), target


def test_programs_and_their_flags_exist():
    pages = [page.read_text(encoding="utf-8") for page in sorted((ROOT / "docs").glob("*.md"))]
    calls = [call for text in (TEXT, *pages) for call in programs_called(text)]
    assert calls
    for program, flags in calls:
        known = flags_of(program)
        assert [flag for flag in flags if flag not in known] == [], program


def flags_of(program):
    """The flags of a program: those of its subcommand, or those that stand in its source."""
    name = Path(program).stem
    if name in SUBCOMMANDS:
        parser = argparse.ArgumentParser()
        SUBCOMMANDS[name].add_arguments(parser)
        return re.findall(r"--[\w-]+", parser.format_help())
    source = (ROOT / program).read_text(encoding="utf-8")
    made = flags_of("train") if "add_config_arguments" in source else []
    fields = re.findall(r'"([a-z_0-9]+)"', source) if made else []
    made += [f"--{field.replace('_', '-')}" for field in fields]
    return re.findall(r'"(--[\w-]+)"', source) + made


def test_ci_runs_the_test_command():
    assert "make test\n" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
