"""Time steps, and the scores of action segmentation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afsd_jax import evaluation
from afsd_jax.diagnosis.segmentation_scores import OVERLAPS, levenshtein, runs, score_segments
from afsd_jax.diagnosis.time_steps import Timeline, draw_timeline, kappa_of, measure_time_steps
from afsd_jax.types import Action, AnnotatedVideo, Detection
from tests.evaluated import evaluations

STEP_S = 0.3  # no multiple of it is an end of a segment by accident


def measured(truth, found, thresholds=0.0, step_s=STEP_S):
    tables = evaluation.tabulate(truth, found)
    timeline = draw_timeline(tables, thresholds, step_s)
    return tables, timeline, measure_time_steps(tables, timeline, thresholds)


@settings(max_examples=40, deadline=None)
@given(evaluations())
def test_measures_equal_a_walk_over_all_steps(evaluated):
    truth, found = evaluated
    tables, _, steps = measured(truth, found, 0.25)
    classes = tables.classes
    confusion = np.zeros((len(classes) + 1,) * 2, int)
    counts = {label: [0, 0, 0, 0] for label in classes}  # both, only true, only detected, none
    for name, video in truth.items():
        for step in range(int(np.ceil(video.duration_s / STEP_S))):
            time = (step + 0.5) * STEP_S
            true = [a for a in video.actions if a.start_s <= time < a.end_s]
            seen = [
                d
                for d in found[name]
                if d.start_s <= time < d.end_s and d.score >= 0.25 and d.label in classes
            ]
            for label in classes:
                is_true = any(a.label == label for a in true)
                is_seen = any(d.label == label for d in seen)
                counts[label][2 * (not is_true) + (not is_seen)] += 1
            detected = max(seen, key=lambda d: d.score).label if seen else None
            latest = max(true, key=lambda a: a.start_s).label if true else None
            if any(a.label == detected for a in true):
                latest = detected
            row, column = (
                len(classes) if label is None else classes.index(label)
                for label in (latest, detected)
            )
            confusion[row, column] += 1
    assert steps.confusion.tolist() == confusion.tolist()
    assert steps.accuracy == pytest.approx(np.trace(confusion) / confusion.sum())
    for index, (both, missed, false, none) in enumerate(counts.values()):
        assert [steps.both[index], steps.true[index], steps.detected[index]] == [
            both,
            both + missed,
            both + false,
        ]
        expected = kappa_of(np.array([[both, missed], [false, none]]))
        assert steps.kappa[index] == pytest.approx(expected, nan_ok=True)


def test_precision_recall_and_f1():
    truth = {"a": AnnotatedVideo("test", 10.0, (Action("x", 0, 4),))}
    _, _, steps = measured(truth, {"a": [Detection("x", 0.9, 2, 5)]}, step_s=0.1)
    assert steps.precision[0] == pytest.approx(2 / 3)
    assert steps.recall[0] == pytest.approx(1 / 2)
    assert steps.f1[0] == pytest.approx(2 * 2 / 7)
    assert np.isnan(measured(truth, {})[2].precision[0])


def test_kappa_of_a_published_example():
    # Two raters of 50 applications, 20 yes/yes, 5 yes/no, 10 no/yes, 15 no/no: 0.4.
    assert kappa_of(np.array([[20, 5], [10, 15]])) == pytest.approx(0.4)
    assert np.isnan(kappa_of(np.array([[9, 0], [0, 0]])))


def test_a_video_of_unknown_length_ends_with_its_last_segment():
    videos = AnnotatedVideo("test", None, (Action("x", 0, 4),)), AnnotatedVideo("test", 1.0, ())
    truth = dict(zip("ab", videos, strict=True))
    found = {"a": [Detection("x", 0.9, 2, 6), Detection("x", 0.1, 2, 9)]}
    _, timeline, _ = measured(truth, found, 0.5, step_s=0.5)
    assert timeline.first.tolist() == [0, 12, 14]
    assert timeline.detected.tolist() == [1] * 4 + [0] * 8 + [1, 1]


def test_segments_beyond_the_video_are_cut():
    truth = {"a": AnnotatedVideo("test", 5.0, (Action("x", 3, 8),))}
    _, timeline, steps = measured(truth, {"a": [Detection("x", 0.9, -2, 99)]}, step_s=0.5)
    assert timeline.truth.tolist() == [1] * 6 + [0] * 4
    assert steps.detected[0] == 10


sequences = st.lists(st.integers(0, 3), max_size=8)


@given(sequences, sequences)
def test_levenshtein_equals_the_recursion(first, second):
    def distance(a, b):
        table = np.zeros((len(a) + 1, len(b) + 1), int)
        table[:, 0], table[0] = range(len(a) + 1), range(len(b) + 1)
        for i in range(1, len(a) + 1):
            for j in range(1, len(b) + 1):
                change = table[i - 1, j - 1] + (a[i - 1] != b[j - 1])
                table[i, j] = min(change, table[i - 1, j] + 1, table[i, j - 1] + 1)
        return table[-1, -1]

    assert levenshtein(np.array(first, int), np.array(second, int)) == distance(first, second)


def slow_f1(true, detected, overlap):
    """True positives of one video by the papers' rule, one detected segment after another."""
    used, right = set(), 0
    for begin, end, label in detected:
        best, best_iou = None, 0.0
        for index, (other_begin, other_end, other) in enumerate(true):
            common = min(end, other_end) - max(begin, other_begin)
            iou = common / (max(end, other_end) - min(begin, other_begin)) * (label == other)
            if iou > best_iou:
                best, best_iou = index, iou
        if best is not None and best_iou >= overlap and best not in used:
            used.add(best)
            right += 1
    return right


steps_of = st.lists(st.integers(0, 2), min_size=1, max_size=25)


@given(st.lists(st.tuples(steps_of, steps_of), min_size=1, max_size=3))
def test_scores_of_segments_equal_the_papers_rule(videos):
    pairs = [(a[: len(b)], b[: len(a)]) for a, b in videos]
    first = np.cumsum([0, *(len(a) for a, _ in pairs)])
    truth, detected = (np.concatenate([pair[side] for pair in pairs]) for side in (0, 1))
    scores = score_segments(Timeline(1.0, first, truth, detected), background=2)
    segments = [tuple(runs(np.array(side), 2).tolist() for side in pair) for pair in pairs]
    edits = [
        1 - levenshtein(*(np.array([s[2] for s in side], int) for side in pair)) / longest
        for pair in segments
        if (longest := max(map(len, pair)))
    ]
    assert scores.edit == pytest.approx(np.mean(edits) if edits else np.nan, nan_ok=True)
    total = sum(len(side) for pair in segments for side in pair)
    for overlap, value in zip(OVERLAPS, scores.f1, strict=True):
        right = sum(slow_f1(*pair, overlap) for pair in segments)
        assert value == pytest.approx(2 * right / total if total else 0.0)
