"""Thresholds and the map of scores beside a checkpoint: kept exactly, read strictly."""

import json

import numpy as np
import pytest

from afsd_jax.errors import UserError
from afsd_jax.weights.score_calibration import (
    NAME,
    ScoreCalibration,
    read_calibration,
    write_calibration,
)

CLASSES = ["jump", "run", "fly"]
KEPT = ScoreCalibration(
    "validation", 0.5, 0.4, {"jump": 0.3, "run": 0.7}, (0.1, 0.5, 0.9), (0.0, 0.2, 0.8)
)


def test_what_is_written_is_read(tmp_path):
    assert read_calibration(tmp_path, CLASSES) is None
    assert write_calibration(tmp_path, KEPT) == tmp_path / NAME
    assert read_calibration(tmp_path, CLASSES) == KEPT


def test_classes_without_a_threshold_have_that_of_all():
    assert [KEPT.least(label) for label in CLASSES] == [0.3, 0.7, 0.4]


def test_scores_between_knots_are_interpolated():
    precision = KEPT.precision_at(np.array([0.0, 0.1, 0.3, 0.9, 1.0]))
    np.testing.assert_allclose(precision, [0.0, 0.0, 0.1, 0.8, 0.8])


def test_a_long_map_is_thinned_between_its_ends(tmp_path):
    scores = tuple(np.linspace(0, 1, 5000).tolist())
    write_calibration(tmp_path, KEPT._replace(scores=scores, precision=scores))
    found = read_calibration(tmp_path, CLASSES)
    assert found is not None
    assert len(found.scores) == 1000
    np.testing.assert_allclose(found.precision_at(np.array(scores)), scores, atol=1e-12)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"threshold": 1.5}, "threshold must lie between 0 and 1"),
        ({"threshold": float("nan")}, "threshold must be a finite number"),
        ({"threshold": None}, "threshold must be a finite number"),
        ({"thresholds": {"jump": -1}}, "must lie between 0 and 1"),
        ({"thresholds": {"swim": 0.5}}, "'swim' is no class of this checkpoint"),
        ({"thresholds": [0.5]}, "must be an object"),
        ({"scores": [0.5, 0.1, 0.9]}, "ascending"),
        ({"precision": [0.5, 0.1, 0.9]}, "ascending"),
        ({"precision": [0.5]}, "equally long"),
        ({"scores": [], "precision": []}, "not empty"),
        ({"scores": [0.5] * 2000}, "at most 1000"),
        ({"split": 3}, "split must be a non-empty text"),
    ],
)
def test_a_strangers_file_is_refused_in_one_line(tmp_path, changes, named):
    (tmp_path / NAME).write_text(json.dumps(KEPT._asdict() | changes))
    with pytest.raises(UserError, match=named) as raised:
        read_calibration(tmp_path, CLASSES)
    assert str(tmp_path / NAME) in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("field", KEPT._fields)
def test_a_missing_field_is_named(tmp_path, field):
    content = {name: value for name, value in KEPT._asdict().items() if name != field}
    (tmp_path / NAME).write_text(json.dumps(content))
    with pytest.raises(UserError, match=f"{field} is missing"):
        read_calibration(tmp_path, CLASSES)
