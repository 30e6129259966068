"""Every notebook runs from top to bottom; some are kept with what they printed."""

import warnings

import nbformat
import pytest
from conftest import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
# Kept with their outputs, so that they can be read where nothing runs.
PICTURED = {"01_first_layer", "02_sparse_resnet", "03_your_own_model"}
notebooks = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
# Half a minute and more each; the first runs with the other tests.
LONG = [
    pytest.param(path, marks=pytest.mark.campaign) if path.stem > "02" else path
    for path in NOTEBOOKS
]


def test_there_are_notebooks():
    assert NOTEBOOKS


@pytest.mark.slow
@pytest.mark.parametrize("path", LONG, ids=lambda path: path.stem)
def test_notebook_runs(path, tmp_path, monkeypatch):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # jupyter_client's own, at import
        nbclient = pytest.importorskip("nbclient")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    notebook = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": str(tmp_path)}}  # files that it writes stay out of the tree
    nbclient.NotebookClient(notebook, timeout=300, resources=resources).execute()
    outputs = [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]
    assert any(outputs)
    streams = [out for cell in outputs for out in cell if out.output_type == "stream"]
    assert not [out.text for out in streams if "Warning" in out.text]


@notebooks
def test_notebook_is_kept_with_what_it_printed_and_drew(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    outputs = [out for cell in notebook.cells if cell.cell_type == "code" for out in cell.outputs]
    if path.stem not in PICTURED:
        assert outputs == []
        return
    assert any("image/png" in out.get("data", {}) for out in outputs)
    for out in outputs:
        assert out.output_type != "error"
        assert out.get("name") != "stderr"
        assert "/home/" not in out.get("text", "")


@pytest.mark.parametrize("path", ["01_first_layer", "02_sparse_resnet", "03_your_own_model"])
def test_a_notebook_opens_in_colab_and_installs_what_it_needs(path):
    first, install = nbformat.read(ROOT / "notebooks" / f"{path}.ipynb", as_version=4).cells[:2]
    assert f"/notebooks/{path}.ipynb)" in first.source
    assert '%pip install --quiet "keras-ssc[train]"' in install.source
