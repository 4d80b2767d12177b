"""The validation of a run measures which scores people are shown from its checkpoint."""

import json
from pathlib import Path

import numpy as np
import pytest

from afsd_jax.diagnosis.checkpoint_calibration import calibrate_run, measure
from afsd_jax.diagnosis.validation_files import write_validation
from afsd_jax.errors import UserError
from afsd_jax.evaluation import tabulate
from afsd_jax.types import Action, AnnotatedVideo, Detection
from afsd_jax.weights.score_calibration import read_calibration

TRUTH = {
    "a": AnnotatedVideo(
        "validation", 400.0, tuple(Action("run", 20.0 * i, 20.0 * i + 9) for i in range(12))
    )
}
FOUND = {
    "a": [
        *(Detection("run", 0.7 + i / 100, 20.0 * i, 20.0 * i + 9) for i in range(12)),
        *(Detection("run", 0.6 - i / 100, 300.0 + i, 301.0 + i) for i in range(5)),
    ]
}
STEP = 30


@pytest.fixture
def workdir(tmp_path) -> Path:
    """The folder of a run whose best evaluation was at `STEP`, with that checkpoint's folder."""
    (tmp_path / "config.json").write_text(json.dumps({"data": {"dataset": "videos"}}))
    (tmp_path / "checkpoints" / str(STEP)).mkdir(parents=True)
    write_validation(tmp_path, TRUTH, FOUND, (0.5,), STEP)
    return tmp_path


def test_the_best_checkpoint_gets_its_least_scores(workdir):
    path = calibrate_run(workdir, "train[80%:]")
    assert path == workdir / "checkpoints" / str(STEP) / "calibration.json"
    kept = read_calibration(path.parent, ["run"])
    assert kept == measure(tabulate(TRUTH, FOUND), "train[80%:]")
    assert (kept.threshold, kept.thresholds) == (0.7, {"run": 0.7})
    np.testing.assert_allclose(kept.precision_at(np.array([0.56, 0.8])), [0, 1])


def test_what_was_measured_on_purpose_is_kept(workdir):
    path = calibrate_run(workdir, "validation")
    before = path.read_bytes()
    write_validation(workdir, TRUTH, {"a": FOUND["a"][:10]}, (0.5,), STEP)
    assert calibrate_run(workdir, "others") is None
    assert path.read_bytes() == before


def test_a_checkpoint_that_is_gone_and_a_run_without_validation_get_none(workdir, tmp_path):
    write_validation(workdir, TRUTH, FOUND, (0.5,), STEP + 1)
    assert calibrate_run(workdir, "validation") is None
    assert calibrate_run(tmp_path / "other", "validation") is None


@pytest.mark.parametrize(
    ("truth", "found", "message"),
    [
        (
            {"a": AnnotatedVideo("validation", 9.0, TRUTH["a"].actions[:9])},
            FOUND,
            "has 9 actions, too few",
        ),
        (TRUTH, {"a": FOUND["a"][12:]}, "no detection is right at tIoU 0.5"),
    ],
)
def test_too_little_says_nothing(workdir, truth, found, message):
    with pytest.raises(UserError, match=message):
        measure(tabulate(truth, found), "validation")
    write_validation(workdir, truth, found, (0.5,), STEP)
    assert calibrate_run(workdir, "validation") is None
    assert not list((workdir / "checkpoints" / str(STEP)).iterdir())
