"""Why actions are not found, and how that depends on their length."""

import numpy as np
import pytest
from hypothesis import given, settings

from afsd_jax import evaluation
from afsd_jax.diagnosis.characteristics import edges_for, group_actions, summarise_classes
from afsd_jax.diagnosis.false_negatives import MISSED, REASONS, analyse_false_negatives
from afsd_jax.diagnosis.false_positives import analyse_false_positives
from afsd_jax.types import Action, AnnotatedVideo, Detection
from tests.evaluated import drawn, evaluations

TIOUS = (0.3, 0.5, 0.75)


def analysed(truth, found, tious=(0.5,)):
    tables = evaluation.tabulate(truth, found)
    return tables, analyse_false_negatives(tables, analyse_false_positives(tables, tious))


def example():
    """Four actions: one is found, one has another label, one is off, of one there is nothing."""
    actions = [("run", 0, 10), ("jump", 20, 30), ("run", 40, 50), ("jump", 55, 60)]
    detections = [
        ("run", 0.9, 0, 10),
        ("run", 0.8, 20, 30),
        ("jump", 0.7, 20, 22),
        ("run", 0.6, 40, 44),
    ]
    truth = {"a": AnnotatedVideo("test", 100.0, tuple(Action(*action) for action in actions))}
    return truth, {"a": [Detection(*item) for item in detections]}


def test_reasons_and_what_they_are_about():
    tables, misses = analysed(*example())
    reasons = [REASONS[reason] for reason in misses.reasons[0]]
    assert reasons == ["found", "localisation", "localisation", "missed"]
    assert [tables.scores[row] for row in misses.causes[0, :3]] == [0.9, 0.7, 0.6]
    assert misses.causes[0, 3] == -1
    # Although its ends are the smaller error, the action also has a wrong label.
    assert misses.confusion(tables)[0].tolist() == [[0, 0], [1, 0]]
    assert misses.counts[0].tolist() == [1, 0, 2, 1]


def test_only_a_wrong_label():
    truth, found = example()
    found["a"].pop(2)
    _, misses = analysed(truth, found)
    assert REASONS[misses.reasons[0, 1]] == "wrong label"


@settings(max_examples=60, deadline=None)
@given(evaluations())
def test_the_gain_of_missed_actions_is_map_without_them(evaluated):
    truth, found = evaluated
    tables, misses = analysed(truth, found, TIOUS)
    matched = evaluation.match(tables, TIOUS)
    for h, tiou in enumerate(TIOUS):
        missed = misses.reasons[h] == MISSED
        values = []
        for index, rows in enumerate(evaluation.by_class(tables)):
            left = np.sum(~missed & (tables.action_classes == index))
            hits = matched[h : h + 1, rows] >= 0
            values.append(evaluation.average_precision(hits, left)[0] if left else 0.0)
        plain = evaluation.score(tables, (tiou,)).average_map
        assert misses.missed_gain[h] == pytest.approx(np.mean(values) - plain, abs=1e-12)


def test_an_action_found_only_among_many_false_positives_is_not_found():
    actions = [Action("run", 0, 10)]
    noise = [Detection("run", 0.9, 50 + i, 51 + i) for i in range(30)]
    truth = {"a": AnnotatedVideo("test", 100.0, tuple(actions))}
    _, misses = analysed(truth, {"a": [*noise, Detection("run", 0.1, 0, 10)]})
    assert not misses.found.any()  # precision is 1/31
    _, misses = analysed(truth, {"a": [*noise[:18], Detection("run", 0.1, 0, 10)]})
    assert misses.found.all()  # 1/19


def test_groups_share_out_all_actions_and_their_misses():
    tables, misses = analysed(*drawn(seed=3, num_videos=30), TIOUS)
    matched = evaluation.match(tables, TIOUS)
    for name, groups in group_actions(tables, edges_for(tables), misses.found, matched).items():
        rows = np.concatenate([group.actions for group in groups])
        assert sorted(rows) == list(range(len(tables.actions))), name
        total = sum(np.nan_to_num(group.missed) * len(group.actions) for group in groups)
        np.testing.assert_allclose(total, np.sum(~misses.found, axis=-1))


def test_a_group_of_all_actions_has_the_normalised_map():
    tables, misses = analysed(*drawn(seed=4), TIOUS)
    matched = evaluation.match(tables, TIOUS)
    edges = {"length": (0.0, np.inf)}
    (group,) = group_actions(tables, edges, misses.found, matched)["length"]
    whole = analyse_false_positives(tables, TIOUS, limit=10**6, normalised=True)
    np.testing.assert_allclose(group.mean_ap, whole.mean_ap)


@settings(max_examples=30, deadline=None)
@given(evaluations())
def test_the_normalised_map_of_a_group_equals_one_by_one(evaluated):
    tables, misses = analysed(*evaluated, TIOUS)
    matched = evaluation.match(tables, TIOUS)
    edges = {"length": (0.0, 1.0, 2.0, np.inf)}
    typical = len(tables.actions) / len(tables.classes)
    for group in group_actions(tables, edges, misses.found, matched)["length"]:
        for h in range(len(TIOUS)):
            values = []
            for label, rows in enumerate(evaluation.by_class(tables)):
                number = sum(tables.action_classes[row] == label for row in group.actions)
                if not number:
                    continue
                found = false = 0
                points = []
                for action in matched[h, rows]:
                    if action < 0:
                        false += 1
                    elif action in group.actions:
                        found += 1
                        weighed = found / number * typical
                        points.append(weighed / (weighed + false))
                area = sum(max(points[rank:]) for rank in range(len(points)))
                values.append(area / number)
            if values:
                assert group.mean_ap[h] == pytest.approx(np.mean(values), abs=1e-12)
            else:
                assert np.isnan(group.mean_ap[h])


def test_actions_of_unknown_coverage_are_in_no_group():
    truth = {"a": AnnotatedVideo("test", None, (Action("run", 0, 10),))}
    tables, misses = analysed(truth, {})
    matched = evaluation.match(tables, (0.5,))
    edges = {"coverage": (0.0, 0.5, 1.0)}
    groups = group_actions(tables, edges, misses.found, matched)["coverage"]
    assert [len(group.actions) for group in groups] == [0, 0]
    assert np.isnan(groups[0].missed[0])
    assert groups[0].as_dict()["missed"] == [None]
    assert "coverage" not in edges_for(tables)


def test_classes_have_the_normalised_map_as_their_mean():
    tables, misses = analysed(*drawn(seed=4), TIOUS)
    classes = summarise_classes(tables, misses.found, evaluation.match(tables, TIOUS))
    whole = analyse_false_positives(tables, TIOUS, limit=10**6, normalised=True)
    np.testing.assert_allclose(classes.ap.mean(axis=-1), whole.mean_ap)
    total = np.sum(classes.missed * classes.actions, axis=-1)
    np.testing.assert_allclose(total, np.sum(~misses.found, axis=-1))
    assert classes.as_dict().keys() == set(tables.classes)
