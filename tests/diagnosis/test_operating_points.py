"""Precision, recall and F1 over thresholds, and the threshold of the best F1."""

import numpy as np
import pytest
from hypothesis import given, settings

from afsd_jax import evaluation
from afsd_jax.diagnosis import bootstrap
from afsd_jax.diagnosis.operating_points import curve_of, find_operating_points
from afsd_jax.types import Action, AnnotatedVideo, Detection
from tests.evaluated import drawn, evaluations


def slow_point(truth, found, label, tiou, threshold):
    """Precision, recall and F1 of the detections with at least this score, matched anew."""
    kept = {
        name: [d for d in items if d.score >= threshold and label in (None, d.label)]
        for name, items in found.items()
    }
    tables = evaluation.tabulate(truth, kept)
    hits = np.count_nonzero(evaluation.match(tables, (tiou,)) >= 0)
    actions = sum(label in (None, a.label) for video in truth.values() for a in video.actions)
    detections = len(tables.scores)
    return hits / detections, hits / actions, 2 * hits / (detections + actions)


@settings(max_examples=25, deadline=None)
@given(evaluations())
def test_curves_equal_an_evaluation_at_each_threshold(evaluated):
    truth, found = evaluated
    tables = evaluation.tabulate(truth, found)
    points = find_operating_points(tables, 0.5, samples=5)
    for label, point in [(None, points.overall), *points.classes.items()]:
        curve = point.curve
        rows = zip(curve.thresholds, curve.precision, curve.recall, curve.f1, strict=True)
        for threshold, *values in rows:
            expected = slow_point(truth, found, label, 0.5, threshold)
            assert values == pytest.approx(expected)
            assert list(curve.at(threshold).values()) == pytest.approx(expected)
        if curve.hits.any():
            assert curve.at(point.threshold)["f1"] == max(curve.f1)
        else:
            assert np.isnan(point.threshold)
            assert point.as_dict()["threshold"] is None


def test_equal_scores_count_together():
    curve = curve_of(np.array([0.9, 0.5, 0.5, 0.1]), np.array([1, 0, 1, 1], bool), 4)
    assert curve.thresholds.tolist() == [0.9, 0.5, 0.1]
    assert curve.detections.tolist() == [1, 3, 4]
    assert curve.hits.tolist() == [1, 2, 3]
    assert curve.at(0.5) == curve.at(0.3)
    assert curve.at(0.95) == {"precision": 1.0, "recall": 0.0, "f1": 0.0}


def test_a_thinned_curve_keeps_its_ends_and_points():
    tables = evaluation.tabulate(*drawn(seed=5, num_videos=60))
    curve = find_operating_points(tables, 0.3, samples=5).overall.curve
    thin = curve.thinned(40)
    assert 20 <= len(thin.thresholds) <= 40
    assert thin.recall[-1] == curve.recall[-1]
    for threshold, value in zip(thin.thresholds, thin.precision, strict=True):
        assert curve.at(threshold)["precision"] == value
    assert np.max(np.diff(thin.recall)) < 3 / 40


def test_the_interval_of_the_threshold_is_that_of_resampled_videos():
    truth, found = drawn(seed=6, num_videos=30)
    tables = evaluation.tabulate(truth, found)
    point = find_operating_points(tables, 0.5, samples=60, seed=3).overall
    thresholds, values = [], []
    for weights in bootstrap.draw_weights(30, 60, seed=3).T.astype(int):
        copies = [(n, f"{n}-{i}") for n, w in zip(truth, weights, strict=True) for i in range(w)]
        again = {copy: truth[name] for name, copy in copies}
        tables = evaluation.tabulate(again, {copy: found[name] for name, copy in copies})
        hits = evaluation.match(tables, (0.5,))[0] >= 0
        curve = curve_of(tables.scores, hits, len(tables.actions))
        thresholds.append(curve.thresholds[np.argmax(curve.f1)])
        values.append(max(curve.f1))
    shares = bootstrap.percentiles(30)
    assert (point.low, point.high) == pytest.approx(tuple(np.quantile(thresholds, shares)))
    expected = tuple(np.quantile(values, shares))
    assert (point.f1_low, point.f1_high) == pytest.approx(expected, abs=1e-6)


def test_a_class_without_a_threshold_takes_the_one_for_all():
    truth = {"a": AnnotatedVideo("test", 60.0, (Action("x", 0, 10), Action("y", 20, 30)))}
    found = {"a": [Detection("x", 0.9, 0, 10), Detection("y", 0.5, 40, 50)]}
    points = find_operating_points(evaluation.tabulate(truth, found), 0.5, samples=10)
    assert points.thresholds().tolist() == [0.9, 0.9]
    points = find_operating_points(evaluation.tabulate(truth, {}), 0.5, samples=10)
    assert np.isinf(points.thresholds()).all()
