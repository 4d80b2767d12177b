"""Reliability of scores, and the map that mends it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afsd_jax import evaluation
from afsd_jax.diagnosis.calibration import NUM_BINS, calibrate, isotonic_map
from afsd_jax.types import Action, AnnotatedVideo, Detection
from tests.evaluated import drawn


def test_error_and_diagram_equal_a_sum_over_bins():
    tables = evaluation.tabulate(*drawn(seed=7, num_videos=40))
    right = evaluation.match(tables, (0.5,))[0] >= 0
    calibration = calibrate(tables, 0.5)
    error = 0.0
    for index in range(NUM_BINS):
        low, high = index / NUM_BINS, (index + 1) / NUM_BINS
        inside = (tables.scores > low) & (tables.scores <= high)
        assert calibration.counts[index] == inside.sum()
        if inside.any():
            mean, precision = tables.scores[inside].mean(), right[inside].mean()
            assert calibration.mean_scores[index] == pytest.approx(mean)
            assert calibration.precision[index] == pytest.approx(precision)
            error += inside.mean() * abs(mean - precision)
    assert calibration.error == pytest.approx(error)


def slow_isotonic(shares, weights):
    """Pool adjacent violators: the value of each share."""
    blocks = []
    for share, weight in zip(shares, weights, strict=True):
        blocks.append([share * weight, weight, 1])
        while len(blocks) > 1 and blocks[-2][0] * blocks[-1][1] >= blocks[-1][0] * blocks[-2][1]:
            last = blocks.pop()
            blocks[-1] = [a + b for a, b in zip(blocks[-1], last, strict=True)]
    return [total / weight for total, weight, count in blocks for _ in range(count)]


@given(st.lists(st.tuples(st.integers(0, 10), st.booleans()), min_size=1, max_size=40))
def test_the_map_is_isotonic_regression(items):
    scores = np.array([score / 10 for score, _ in items])
    right = np.array([hit for _, hit in items])
    knots, values = isotonic_map(scores, right)
    assert (np.diff(knots) > 0).all()
    assert (np.diff(values) > 0).all()
    distinct = np.unique(scores)
    shares = [right[scores == score].mean() for score in distinct]
    expected = np.unique(np.round(slow_isotonic(shares, [sum(scores == s) for s in distinct]), 12))
    np.testing.assert_allclose(values, expected, atol=1e-9)


def test_the_map_mends_scores_that_are_too_high():
    rng = np.random.default_rng(0)
    truth, found = {}, {}
    for video in range(100):
        actions = [Action("x", 20 * i, 20 * i + 10) for i in range(40)]
        truth[str(video)] = AnnotatedVideo("test", 1000.0, tuple(actions))
        found[str(video)] = []
        for action in actions:
            score = rng.uniform(0.01, 1)
            shift = 0.0 if rng.random() < score**2 else 12.0  # right with probability score²
            times = action.start_s + shift, action.end_s + shift
            found[str(video)].append(Detection("x", score, *times))
    calibration = calibrate(evaluation.tabulate(truth, found))
    assert calibration.error > 0.1
    scores = np.linspace(0.1, 0.9, 9)
    assert np.mean(np.abs(calibration.apply(scores) - scores**2)) < 0.04


def test_without_detections_nothing_is_known():
    truth = {"a": AnnotatedVideo("test", 10.0, (Action("x", 0, 1),))}
    calibration = calibrate(evaluation.tabulate(truth, {}))
    assert np.isnan(calibration.error)
    assert calibration.as_dict()["error"] is None
    assert calibration.apply(np.array([0.3])).tolist() == [0.3]
