"""Every notebook of the cookbook runs from top to bottom in an empty folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "cookbook").glob("*.ipynb"))
quiet = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning:(jupyter_client|nbclient|zmq|tornado|traitlets|ipykernel).*"
)


def test_there_is_a_cookbook() -> None:
    assert NOTEBOOKS


@pytest.fixture(scope="module")
def kernel(models: dict[str, Path]) -> Iterator[KernelManager]:
    """One for all notebooks: what the first imports the others find imported."""
    kernel = KernelManager(kernel_name="python3")
    kernel.start_kernel(env=os.environ | {"PYTHONPATH": str(ROOT), "MEMOS_MODELS": str(models["minilm"].parent)})
    yield kernel
    kernel.shutdown_kernel(now=True)
    kernel.cleanup_resources()


@quiet
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path, tmp_path: Path, kernel: KernelManager) -> None:
    notebook = nbformat.read(path, as_version=4)
    anew = f"%reset -f\n%matplotlib inline\n__import__('os').chdir({str(tmp_path)!r})"
    notebook.cells.insert(0, nbformat.v4.new_code_cell(anew))
    client = NotebookClient(notebook, km=kernel, timeout=280)
    try:
        client.execute()
    finally:
        client.kc.stop_channels()


@pytest.mark.slow
@quiet
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_in_a_kernel_of_its_own(
    path: Path, tmp_path: Path, models: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("MEMOS_MODELS", str(models["minilm"].parent))
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook, timeout=280, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_light(path: Path) -> None:
    assert path.stat().st_size < 200_000
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    shown = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert shown, "who reads it on a page sees what it gives"
    assert not [output for output in shown if output.output_type == "error" or output.get("name") == "stderr"]
