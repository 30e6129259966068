"""The API reference has a place for every public name."""

import os
import subprocess
import sys

import pytest
from conftest import ROOT
from test_repository import PUBLIC


def test_every_public_name_is_in_the_reference(tmp_path):
    pytest.importorskip("pdoc")
    command = [sys.executable, "-m", "pdoc", "keras_ssc", "--docformat", "google"]
    subprocess.run(
        [*command, "--output-directory", tmp_path],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
    )
    for name in PUBLIC:
        module, _, member = name.rpartition(".")
        page = tmp_path / (module.replace(".", "/") + ".html")
        assert f'id="{member}"' in page.read_text(encoding="utf-8"), name
