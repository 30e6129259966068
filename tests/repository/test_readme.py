"""The README tells the truth: its Python runs, its commands and files exist."""

import re
import runpy
import sys

import pytest
from conftest import ROOT

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


def known_flags(program, monkeypatch, capsys):
    """Return the text that names the flags of a program: of applications its help."""
    if not program.startswith("applications/"):
        return (ROOT / program).read_text(encoding="utf-8")
    monkeypatch.setattr(sys, "argv", [program, "--help"])
    monkeypatch.syspath_prepend(ROOT / "applications")  # as Python does for a program
    with pytest.raises(SystemExit):
        runpy.run_path(str(ROOT / program), run_name="__main__")
    return capsys.readouterr().out


def test_programs_and_their_flags_exist(monkeypatch, capsys):
    pages = [page.read_text(encoding="utf-8") for page in sorted((ROOT / "docs").glob("*.md"))]
    calls = [call for text in (TEXT, *pages) for call in programs_called(text)]
    assert calls
    for program, flags in calls:
        known = known_flags(program, monkeypatch, capsys)
        assert [flag for flag in flags if not re.search(rf"{flag}\b", known)] == [], program


def test_ci_runs_the_test_command():
    assert "make test\n" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", ["README.md", "docs/faq.md"])
def test_comparisons_claimed_are_those_of_the_evidence(page):
    text = " ".join((ROOT / page).read_text(encoding="utf-8").split())
    evidence = (ROOT / "docs" / "evidence" / "README.md").read_text(encoding="utf-8")
    claims = re.findall(r"in (\d+) of (\d+) comparisons", text)
    assert claims
    for better, count in claims:
        assert re.search(rf"Of {count} comparisons .* beats in {better}, loses in 0;", evidence)
