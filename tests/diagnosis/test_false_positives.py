"""Each false positive has the kind of error that DETAD's rules give it."""

import numpy as np
import pytest
from hypothesis import given, settings

from afsd_jax import evaluation
from afsd_jax.diagnosis.false_positives import KINDS, analyse_false_positives
from afsd_jax.types import Action, AnnotatedVideo, Detection
from tests.evaluated import evaluations

TIOUS = (0.3, 0.5, 0.75)


def kinds_of(actions, detections, tiou=0.5, limit=10):
    """The kinds of the detections in video "a", by descending score within a class."""
    truth = {"a": AnnotatedVideo("test", 60.0, tuple(Action(*action) for action in actions))}
    found = {"a": [Detection(*item) for item in detections]}
    errors = analyse_false_positives(evaluation.tabulate(truth, found), (tiou,), limit)
    return [KINDS[kind] for kind in errors.kinds[0]]


@pytest.mark.parametrize(
    ("detection", "kind"),
    [
        (("run", 0.5, 0, 10), "double detection"),  # of the action that the first one takes
        (("run", 0.5, 20, 30), "wrong label"),
        (("run", 0.5, 0, 4), "localisation"),
        (("run", 0.5, 20, 24), "confusion"),
        (("run", 0.5, 40, 50), "background"),
        (("run", 0.5, 9.5, 11), "background"),  # a tIoU of 1/22 is below 0.1
    ],
)
def test_each_kind(detection, kind):
    actions = [("run", 0, 10), ("jump", 20, 30)]
    assert kinds_of(actions, [("run", 0.9, 0, 10), detection]) == ["true positive", kind]


def test_the_best_overlap_decides_whatever_its_class():
    actions = [("run", 0, 10), ("jump", 1, 10)]
    detections = [("run", 0.9, 0, 10), ("run", 0.8, 1, 10)]
    assert kinds_of(actions, detections) == ["true positive", "wrong label"]


def test_of_equal_overlaps_the_first_action_of_the_file_decides():
    for actions, kind in (
        ([("run", 0, 10), ("jump", 0, 10)], "double detection"),
        ([("jump", 0, 10), ("run", 0, 10)], "wrong label"),
    ):
        found = kinds_of(actions, [("run", 0.9, 0, 10), ("run", 0.8, 0, 10)])
        assert found == ["true positive", kind]


def test_a_tiou_equal_to_a_threshold_reaches_it():
    actions = [("run", 0, 10), ("jump", 20, 30)]
    assert kinds_of(actions, [("run", 0.5, 20, 25)]) == ["wrong label"]
    assert kinds_of(actions, [("run", 0.5, 20, 21)]) == ["confusion"]


def test_only_the_best_detections_of_a_class_count():
    detections = [("run", score / 100, 40, 50) for score in range(1, 30)]
    assert len(kinds_of([("run", 0, 10)], detections)) == 10
    assert len(kinds_of([("run", 0, 10), ("run", 20, 30)], detections, limit=3)) == 6


def slow_kind(truth, video, detection, tiou):
    """The kind of a false positive, one action after another."""
    best, best_tiou = None, 0.0
    for action in truth[video].actions:
        overlap = min(action.end_s, detection.end_s) - max(action.start_s, detection.start_s)
        if overlap > 0:
            lengths = action.end_s - action.start_s + detection.end_s - detection.start_s
            if overlap / (lengths - overlap) > best_tiou:
                best, best_tiou = action, overlap / (lengths - overlap)
    if best_tiou < 0.1:
        return "background"
    if best.label == detection.label:
        return "double detection" if best_tiou >= tiou else "localisation"
    return "wrong label" if best_tiou >= tiou else "confusion"


def slow_map(truth, ranked, hits, typical):
    """mAP, plain or normalised, of each class's detections: true positive or not."""
    values = []
    for label in ranked:
        number = sum(a.label == label for video in truth.values() for a in video.actions)
        weight = number if typical is None else typical
        found = false = 0
        points = []
        for hit in hits[label]:
            found, false = found + hit, false + (not hit)
            recall = found / number
            points.append((hit, recall * weight / (recall * weight + false) if found else 0.0))
        area = sum(
            max(precision for _, precision in points[rank:])
            for rank, (hit, _) in enumerate(points)
            if hit
        )
        values.append(area / number)
    return sum(values) / len(values)


@settings(max_examples=60, deadline=None)
@given(evaluations())
def test_kinds_and_gains_equal_one_by_one(evaluated):
    truth, found = evaluated
    tables = evaluation.tabulate(truth, found)
    matched = evaluation.match(tables, TIOUS)
    for normalised in (False, True):
        errors = analyse_false_positives(tables, TIOUS, normalised=normalised)
        typical = len(tables.actions) / len(tables.classes) if normalised else None
        for h, tiou in enumerate(TIOUS):
            ranked = {label: [] for label in tables.classes}
            for row, kind in zip(errors.rows, errors.kinds[h], strict=True):
                detection = Detection(
                    tables.classes[tables.detection_classes[row]], 0, *tables.detections[row]
                )
                video = tables.videos[tables.detection_videos[row]]
                hit = matched[h, row] >= 0
                expected = "true positive" if hit else slow_kind(truth, video, detection, tiou)
                assert KINDS[kind] == expected
                ranked[detection.label].append(KINDS[kind])
            whole = {label: [k == KINDS[0] for k in kinds] for label, kinds in ranked.items()}
            value = slow_map(truth, ranked, whole, typical)
            assert errors.mean_ap[h] == pytest.approx(value, abs=1e-12)
            for index, removed in enumerate(KINDS[1:]):
                left = {
                    label: [kind == KINDS[0] for kind in kinds if kind != removed]
                    for label, kinds in ranked.items()
                }
                gain = slow_map(truth, ranked, left, typical) - value
                assert errors.gains[h, index] == pytest.approx(gain, abs=1e-12)


def test_counts_by_rank_add_up():
    actions = [("run", 0, 10), ("run", 20, 30)]
    detections = [("run", 0.9, 0, 10), ("run", 0.8, 0, 9), ("run", 0.7, 50, 60)]
    truth = {"a": AnnotatedVideo("test", 60.0, tuple(Action(*action) for action in actions))}
    found = {"a": [Detection(*item) for item in detections]}
    errors = analyse_false_positives(evaluation.tabulate(truth, found), (0.5,))
    assert errors.by_rank[:, 0].tolist() == [[1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 0, 1]]
    assert errors.cases(0, KINDS.index("background")).tolist() == [2]
    np.testing.assert_array_equal(errors.by_rank.sum(axis=0), errors.counts)
