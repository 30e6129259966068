"""The site: each page's Python runs, the API has every public name as it is, links lead on."""

import html
import inspect
import os
import re
import subprocess
import sys
import urllib.parse

import pytest
from conftest import ROOT
from test_readme import blocks
from test_repository import PUBLIC

DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
WITH_CODE = [page for page in PAGES if blocks("python", page.read_text(encoding="utf-8"))]
PACKAGE = {name: value for name, value in PUBLIC.items() if name.startswith("keras_ssc.")}


@pytest.mark.slow
@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: page.stem)
def test_python_blocks_of_a_page_run_in_order(page, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    names = {}
    for number, block in enumerate(blocks("python", page.read_text(encoding="utf-8")), start=1):
        exec(compile(block, f"{page.name}, Python block {number}", "exec"), names)


def test_commands_of_the_pages_exist(capsys):
    from keras_ssc.cli import command

    called = []
    for page in PAGES:
        lines = "\n".join(blocks("sh", page.read_text(encoding="utf-8"))).replace("\\\n", " ")
        called += re.findall(r"keras-ssc (\w+)(.*)", lines)
    assert called
    for name, words in called:
        with pytest.raises(SystemExit):
            command.main([name, "--help"])
        known = capsys.readouterr().out
        for flag in re.findall(r"--[\w-]+", words):
            assert re.search(rf"{flag}\b", known), f"keras-ssc {name} {flag}"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The pages of the site, built: {path below the folder: text}."""
    pytest.importorskip("mkdocs")
    pytest.importorskip("mkdocstrings")
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in folder.rglob("*.html")
    }


@pytest.mark.slow
def test_every_public_name_is_in_the_api(site):
    text = "\n".join(page for path, page in site.items() if path.startswith("api/"))
    assert [name for name in PACKAGE if f'id="{name}"' not in text] == []


@pytest.mark.slow
def test_signatures_are_the_true_ones(site):
    text = "\n".join(page for path, page in site.items() if path.startswith("api/"))
    missing = {}
    for name, value in PACKAGE.items():
        if not inspect.isfunction(value):
            continue
        after = text.partition(f'id="{name}"')[2]
        signature = re.search(r'<div class="doc-signature.*?</div>', after, re.DOTALL)
        words = html.unescape(re.sub(r"<[^>]+>", "", signature[0]))
        wanted = inspect.signature(value).parameters
        lacking = [one for one in wanted if not re.search(rf"\b{one}\b", words)]
        if lacking or (not wanted and "(build" in words):
            missing[name] = lacking
    assert missing == {}


@pytest.mark.slow
def test_no_placeholder_is_left_in_the_api(site):
    for path, page in site.items():
        if path.startswith("api/"):
            prose = re.sub(r"<(pre|code|script|style)\b.*?</\1>", "", page, flags=re.DOTALL)
            assert not re.search(r"\{\w*\}", prose), path
            assert "{arguments}" not in page, path
            assert "{returns}" not in page, path


@pytest.mark.slow
def test_links_lead_to_pages_and_headings(site):
    dead = []
    for path, page in site.items():
        if path == "404.html":
            continue
        for link in re.findall(r'(?:href|src)="([^"]+)"', page):
            target, _, anchor = html.unescape(link).partition("#")
            if re.match(r"(https?|mailto|data):", target):
                continue
            target = os.path.normpath(
                os.path.join(os.path.dirname(path), urllib.parse.unquote(target))
                if target
                else path
            )
            if target.endswith(".html") and (
                target not in site or (anchor and f'id="{anchor}"' not in site[target])
            ):
                dead.append((path, link))
    assert dead == []
