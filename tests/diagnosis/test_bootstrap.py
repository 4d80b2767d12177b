"""Intervals by resampling videos: exact on each sample, whatever the order of anything."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afsd_jax import evaluation
from afsd_jax.diagnosis import bootstrap
from tests.evaluated import drawn, evaluations

TIOUS = (0.3, 0.5, 0.7)


def repeated(truth, found, weights):
    """The same videos, each as often as its weight, its copies one after another."""
    names = [
        (name, f"{name}-{copy}")
        for name, weight in zip(truth, weights, strict=True)
        for copy in range(weight)
    ]
    return {copy: truth[name] for name, copy in names}, {copy: found[name] for name, copy in names}


@settings(max_examples=60, deadline=None)
@given(evaluations(), st.data())
def test_a_sample_has_the_ap_of_the_videos_drawn(evaluated, data):
    truth, found = evaluated
    tables = evaluation.tabulate(truth, found)
    number = st.integers(0, 3)
    weights = data.draw(st.lists(number, min_size=len(truth), max_size=len(truth)))
    sampled = bootstrap.resample_ap(
        tables, np.array(weights, np.uint8)[:, None], evaluation.match(tables, TIOUS)
    )[..., 0]
    again, detections = repeated(truth, found, weights)
    present = {action.label for video in again.values() for action in video.actions}
    for label, values in zip(tables.classes, sampled, strict=True):
        if label not in present:
            assert np.isnan(values).all()
        else:
            metrics = evaluation.evaluate(again, detections, TIOUS)
            np.testing.assert_allclose(values, metrics.ap[label], atol=1e-5)


def test_weights_are_counts_of_as_many_videos_as_there_are():
    weights = bootstrap.draw_weights(50, 2000, seed=0)
    assert weights.shape == (50, 2000)
    assert (weights.sum(axis=0, dtype=int) == 50).all()
    assert abs(np.var(weights) - (1 - 1 / 50)) < 0.02  # of a multinomial with 50 equal cells
    np.testing.assert_array_equal(weights, bootstrap.draw_weights(50, 2000, seed=0))


def test_chunks_change_nothing(monkeypatch):
    tables = evaluation.tabulate(*drawn(seed=0))
    whole = bootstrap.evaluate_with_intervals(tables, TIOUS, samples=50)
    monkeypatch.setattr(bootstrap, "_CHUNK", 60)  # samples in twos or threes, hits in fives
    matched = evaluation.match(tables, TIOUS)
    weights = bootstrap.draw_weights(len(tables.videos), 50, seed=0)
    parts = bootstrap.resample_ap(tables, weights, matched)
    monkeypatch.undo()
    np.testing.assert_array_equal(parts, bootstrap.resample_ap(tables, weights, matched))
    assert whole.mean_ap.value.shape == (3,)


@pytest.mark.parametrize(
    ("num_videos", "share"),
    # Φ(√(n/(n-1)) · t), with t from a table of Student's distribution.
    [(2, 0.0), (5, 0.00096), (10, 0.00855), (40, 0.02026), (10**6, 0.025)],
)
def test_intervals_of_few_videos_are_expanded(num_videos, share):
    assert bootstrap.percentiles(num_videos) == pytest.approx((share, 1 - share), abs=1e-5)
    assert bootstrap.percentiles(1) == (0, 1)


def test_the_interval_contains_the_estimate_and_is_percentiles():
    tables = evaluation.tabulate(*drawn(seed=1, num_videos=40))
    intervals = bootstrap.evaluate_with_intervals(tables, TIOUS, samples=500)
    metrics = evaluation.score(tables, TIOUS)
    np.testing.assert_array_equal(intervals.mean_ap.value, metrics.mean_ap)
    assert (intervals.mean_ap.low < metrics.mean_ap).all()
    assert (intervals.mean_ap.high > metrics.mean_ap).all()
    weights = bootstrap.draw_weights(40, 500, seed=0)
    means = np.nanmean(
        bootstrap.resample_ap(tables, weights, evaluation.match(tables, TIOUS)), axis=0
    )
    shares = bootstrap.percentiles(40)
    low, high = np.quantile(means.astype(np.float64), shares, axis=-1)
    np.testing.assert_allclose(intervals.mean_ap.low, low, atol=1e-6)
    np.testing.assert_allclose(intervals.mean_ap.high, high, atol=1e-6)
