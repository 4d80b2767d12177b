"""`afsd runs`: verdicts on runs that keep the detections of their best evaluation."""

import json

import pytest

from afsd_jax import cli
from afsd_jax.diagnosis.validation_files import write_validation
from afsd_jax.types import Action, AnnotatedVideo, Detection

TRUTH = {f"v{i}": AnnotatedVideo("test", 9.0, (Action("x", 0, 2),)) for i in range(20)}
RIGHT = {name: [Detection("x", 0.9, 0, 2)] for name in TRUTH}
WRONG = {name: [Detection("x", 0.9, 5, 7)] for name in TRUTH}


@pytest.fixture
def run_of(tmp_path):
    """Makes the folder of a run that found these detections."""

    def make(name, found, truth=TRUTH):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps({"data": {"dataset": "videos"}}))
        (folder / "metrics.jsonl").write_text(json.dumps({"step": 4, "total": 1.0}) + "\n")
        if found is not None:
            write_validation(folder, truth, found, (0.5,), 4)
        return str(folder)

    return make


def test_runs_that_keep_detections_are_compared_with_the_first(run_of, tmp_path, capsys):
    page = tmp_path / "runs.html"
    folders = [run_of("old", WRONG), run_of("none", None), run_of("new", RIGHT)]
    assert cli.main(["runs", *folders, f"--output={page}"]) == 0
    verdict = next(line for line in capsys.readouterr().out.splitlines() if "better" in line)
    assert verdict.startswith("new is better than old: +100.0 points of mAP at tIoU 0.3 to 0.7")
    text = page.read_text()
    assert verdict.partition(":")[0] in text
    assert 'href="new/evaluation.html"' in text
    assert 'href="none/evaluation.html"' not in text


def test_runs_on_other_videos_are_not_compared(run_of, capsys):
    fewer = dict(list(TRUTH.items())[:3])
    folders = [run_of("a", RIGHT), run_of("b", {name: RIGHT[name] for name in fewer}, fewer)]
    assert cli.main(["runs", *folders]) == 0
    assert "was evaluated on other videos than" in capsys.readouterr().out


def test_one_run_has_no_verdict(run_of, capsys):
    assert cli.main(["runs", run_of("a", RIGHT)]) == 0
    assert "better" not in capsys.readouterr().out


def test_a_malformed_file_of_a_run_is_named(run_of, capsys):
    folder = run_of("a", RIGHT)
    path = f"{folder}/validation_detections.json"
    with open(path, "w") as file:
        file.write('{"results": 3}')
    assert cli.main(["runs", folder, folder]) == 2
    assert path in capsys.readouterr().err
