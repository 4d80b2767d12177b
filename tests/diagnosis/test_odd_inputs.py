"""Whatever a file may contain, the analysis ends, and its figures are JSON."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afsd_jax import evaluation
from afsd_jax.diagnosis.analysis import diagnose
from afsd_jax.diagnosis.comparison import compare
from afsd_jax.diagnosis.time_steps import MOST_STEPS, draw_timeline
from afsd_jax.types import Action, AnnotatedVideo, Detection

times = st.sampled_from([-1e14, -3.0, 0.0, 1.0, 1.0 + 1e-9, 2.5, 7.0, 1e6])
late = st.sampled_from([0.0, 5.0, 9e14])
labels = st.sampled_from(["run", "jump", "a\nb", "\x1b[2J"])
scores = st.sampled_from([-5.0, 0.0, 1e-300, 0.5, 1.0, 7.0])
actions = st.builds(Action, labels, times, times)
detections = st.builds(Detection, labels, scores, times, times | late)
durations = st.sampled_from([None, 0.0, 0.05, 6.0, 100.0])
videos = st.lists(
    st.tuples(durations, st.lists(actions, max_size=4), st.lists(detections, max_size=6)),
    min_size=1,
    max_size=3,
)


@settings(max_examples=60, deadline=None)
@given(videos, st.sampled_from(["", "thumos14", "activitynet"]))
def test_odd_times_scores_and_lengths(items, benchmark):
    truth = {
        f"v{i}": AnnotatedVideo("test", duration, (*actions, Action("run", 0.0, 1.0)))
        for i, (duration, actions, _) in enumerate(items)
    }
    found = {f"v{i}": list(detections) for i, (_, _, detections) in enumerate(items)}
    tables = evaluation.tabulate(truth, found)
    result = diagnose(tables, (0.3, 0.5), benchmark=benchmark, samples=5)
    json.dumps(result.as_dict(), allow_nan=False)
    assert all(sentence.isprintable() for sentence in result.headline)
    assert result.false_positives.counts.sum() == 2 * len(result.false_positives.rows)
    comparison = compare(tables, tables, (0.3, 0.5), samples=5)
    json.dumps(comparison.as_dict(), allow_nan=False)


@pytest.mark.parametrize("end", [1e9, 9e14])
def test_a_very_late_detection_does_not_fill_the_memory(end):
    truth = {"a": AnnotatedVideo("test", None, (Action("run", 0.0, 1.0),))}
    tables = evaluation.tabulate(truth, {"a": [Detection("run", 0.9, 0.0, end)]})
    timeline = draw_timeline(tables)
    assert timeline.first[-1] <= MOST_STEPS + 1
    assert timeline.step_s >= end / MOST_STEPS
