"""The quickstart notebook runs from its first cell to its last in a fresh kernel."""

import os
import sys
from pathlib import Path

import av
import nbformat
import pytest
from nbclient import NotebookClient

from afsd_jax.io.activitynet_json import read_ground_truth, read_predictions
from tests.support import ROOT

NOTEBOOK = ROOT / "notebooks" / "quickstart.ipynb"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Where the notebook has run."""
    return tmp_path_factory.mktemp("notebook")


@pytest.fixture(scope="module")
def executed(folder) -> nbformat.NotebookNode:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    for name in ("ipython", "jupyter"):
        (folder / f".{name}").mkdir()
    programs = str(Path(sys.executable).parent)
    path = [place for place in os.environ["PATH"].split(os.pathsep) if place != programs]
    environment = os.environ | {
        # As in an editor that starts a kernel without activating its environment, and with
        # nobody's settings.
        "PATH": os.pathsep.join(path),
        "IPYTHONDIR": str(folder / ".ipython"),
        "JUPYTER_RUNTIME_DIR": str(folder / ".jupyter"),
    }
    client = NotebookClient(notebook, timeout=1200, resources={"metadata": {"path": str(folder)}})
    return client.execute(env=environment)


def outputs(notebook: nbformat.NotebookNode, code: str) -> dict[str, str]:
    """What the cell whose last line is `code` shows, by media type."""
    (cell,) = [cell for cell in notebook.cells if cell.source.splitlines()[-1] == code]
    shown: dict[str, str] = {}
    for output in cell.outputs:
        shown |= output.get("data", {})
    return shown


def test_it_is_kept_without_outputs():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(code) <= 13
    assert all(not cell.outputs and cell.execution_count is None for cell in code)


def test_every_cell_runs_and_shows_what_it_promises(executed):
    assert "Detector(rgb, 6 classes" in outputs(executed, "detector")["text/plain"]
    found, sure = outputs(executed, "found"), outputs(executed, "sure.show()")["text/html"]
    assert found["text/plain"].startswith("Detections(test_0000, 60.")
    assert found["text/html"].count("<img") == sure.count("<img") == 8
    assert found["text/html"].count("afsd-bar") > sure.count("afsd-bar")
    assert "<table" in outputs(executed, "sure.to_df()")["text/html"]
    assert outputs(executed, "sure.plot()")["image/png"]
    clip = outputs(executed, 'found.clip(0, "first.mp4", margin_s=0.5)')
    assert "<video" in clip["text/html"]
    assert "first.mp4" in clip["text/plain"]


def test_it_leaves_files(folder, executed):
    with av.open(str(folder / "first.mp4")) as container:
        assert container.duration > 0.5 * av.time_base
    names = {path.name for path in (folder / "results").iterdir()}
    assert names == {f"test_0000.{name}" for name in ("json", "csv", "vtt", "srt", "html", "png")}


def test_two_videos_teach_where_actions_are(folder, executed):
    """Most actions of the unseen video have a detection of nearly their length among the best."""
    found = read_predictions(folder / "results" / "test_0000.json")["test_0000"][:20]
    actions = read_ground_truth(folder / "made" / "ground_truth.json")["test_0000"].actions

    def overlap(one, other):
        shared = min(one.end_s, other.end_s) - max(one.start_s, other.start_s)
        return shared / (one.end_s - one.start_s + other.end_s - other.start_s - shared)

    hits = [max(overlap(one, action) for one in found) >= 0.7 for action in actions]
    assert sum(hits) > len(hits) / 2
