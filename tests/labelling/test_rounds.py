"""Rounds of learning: which videos each learns from, and what is told of its result."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afsd_jax.labelling.proposals import are_alone, suggestions_of
from afsd_jax.labelling.records import LabelClass, Labels, Segment, Suggestion, VideoLabels
from afsd_jax.labelling.rounds import Plan, Round, finished, plan_round, statistics
from afsd_jax.types import Detection

NAMES = [f"v{number}" for number in range(12)]


def video(*segments, reviewed=True, accepted=(), rejected=()):
    return VideoLabels(
        {s.id: s for s in segments},
        accepted={s.id: s for s in accepted},
        rejected={s.id: s for s in rejected},
        reviewed=reviewed,
    )


def segment(key, start, end, label="run"):
    return Segment(key, label, float(start), float(end))


def suggestion(key, start, end, label="run"):
    return Suggestion(key, label, float(start), float(end), 0.5)


def a_round(plan):
    return Round(plan.round, 0, 0, plan.validation, None, None, 0.3, None, 0, 0, 1.0, plan.videos)


@given(st.lists(st.sets(st.sampled_from(NAMES)), min_size=1, max_size=5))
def test_what_is_kept_for_validation_was_never_learned_and_stays_kept(growth):
    reviewed, rounds = set(), []
    for more in growth:
        reviewed |= more
        labels = Labels({name: video(segment("a", 0, 1)) for name in reviewed})
        plan = plan_round(labels, NAMES, rounds)
        assert plan.videos == sorted(reviewed)
        learned = {n for one in rounds for n in one.reviewed if n not in one.validation}
        assert not learned & set(plan.validation)
        assert {n for one in rounds for n in one.validation} <= set(plan.validation)
        assert set(plan.detect) == set(plan.validation) | (set(NAMES) - reviewed)
        if len(reviewed) > 1 and not rounds:
            assert plan.validation
            assert set(plan.videos) - set(plan.validation)
            rounds.append(a_round(plan))
        elif rounds:
            rounds.append(a_round(plan))


def test_videos_without_actions_and_absent_ones_are_not_kept_for_validation():
    labels = Labels(
        {"a": video(segment("s", 0, 1)), "b": video(), "gone": video(segment("s", 0, 1))}
    )
    plan = plan_round(labels, ["a", "b", "c"], [])
    assert (plan.videos, plan.validation) == (["a", "b"], [])


def test_the_result_of_a_round():
    """Of five decided suggestions two were accepted unchanged."""
    segments = [
        segment("a", 0, 1),
        segment("b", 2, 3),
        segment("c", 4, 5.5),
        segment("d", 7, 8, "hop"),
    ]
    accepted = [suggestion("1", 0.3, 1), suggestion("2", 2, 3), suggestion("3", 4, 5)]
    rejected = [suggestion("4", 8, 9), suggestion("5", 9, 10)]
    labels = Labels({
        "old": video(segment("a", 0, 1)),
        "new": video(*segments, accepted=accepted, rejected=rejected),
    })  # fmt: skip
    before = Round(1, 1, 1, ["old"], None, None, 0.3, None, 0, 0, 1.0, ["old"])
    plan = Plan(2, ["new", "old"], ["old"], ["old"], 7)
    found = {"old": [Detection("run", 0.9, 0.0, 1.0), Detection("run", 0.4, 3.0, 4.0)]}
    result = finished(plan, labels, [before], found, 0.3, 2.5)
    assert (result.round, result.videos, result.segments) == (2, 2, 5)
    assert result.accepted_unchanged == 2 / 5
    assert (result.corrections, result.labelled) == (4, 4)  # two segments, two rejections
    assert result.map == 1.0
    assert result.f1 == pytest.approx(2 / 3)
    assert finished(plan, labels, [before], found, 0.5, 2.5).f1 == 1.0
    assert finished(plan, labels, [before], {}, 0.3, 2.5).map == 0.0
    best = finished(plan, labels, [before], found, None, 2.5)
    assert (best.f1, best.min_score) == (1.0, 0.5)  # between 0.4 and 0.9, but not above 0.5
    assert finished(plan, labels, [before], {}, None, 2.5).min_score == 0.3


def test_statistics_count_what_is_labelled():
    labels = Labels(
        {
            "a": video(segment("s", 0, 1), segment("t", 2, 5)),
            "b": video(segment("u", 0, 2, "hop"), reviewed=False),
        },
        {name: LabelClass(name, "#112233") for name in ("run", "hop", "rest")},
    )
    found = statistics(labels, ["a", "b", "c"], [])
    assert (found["reviewed"], found["videos"], found["rounds"]) == (1, 3, [])
    assert found["classes"] == [
        {"name": "run", "count": 2, "total_s": 4.0, "mean_s": 2.0, "videos": 1},
        {"name": "hop", "count": 1, "total_s": 2.0, "mean_s": 2.0, "videos": 1},
        {"name": "rest", "count": 0, "total_s": 0, "mean_s": None, "videos": 0},
    ]


def test_what_is_decided_is_not_suggested_again():
    known = video(segment("a", 0, 2), rejected=[suggestion("r", 4, 6)])
    found = [
        Detection("run", 0.9, 0.0, 4.0),  # overlaps a segment with a tIoU of 0.5
        Detection("run", 0.9, 0.0, 4.1),
        Detection("run", 0.8, 4.5, 6.5),  # overlaps the rejected one with 0.6
        Detection("run", 0.8, 5.0, 7.1),
        Detection("hop", 0.7, 4.0, 6.0),
        Detection("run", 0.1, 8.0, 9.0),
        Detection("run", 0.7, 9.0, 9.0),
        Detection("a/b", 0.7, 8.0, 9.0),
        Detection("jog", 0.6, 4.0, 6.0),
    ]
    made = suggestions_of(found, known, {"jog": "run"}, 0.2, 3)
    expected = [("run", 0.0, 4.1), ("hop", 4.0, 6.0), ("run", 5.0, 7.1)]
    assert [(s.label, s.start, s.end) for s in made] == expected
    assert {s.round for s in made} == {3}
    assert len({s.id for s in made}) == 3


def test_of_suggestions_that_cover_each_other_the_best_one_is_made():
    found = [
        Detection("run", 0.5, 0.0, 4.0),
        Detection("hop", 0.9, 0.0, 4.0),
        Detection("rest", 0.8, 3.0, 4.5),  # two thirds of it are covered
        Detection("rest", 0.7, 3.5, 5.5),
        Detection("run", 0.6, 8.0, 9.0),  # covers a segment
    ]
    known = video(segment("a", 8, 10, "hop"))
    made = suggestions_of(found, known, {}, 0.2, 1, alone=True)
    assert [(s.label, s.start, s.end) for s in made] == [("hop", 0.0, 4.0), ("rest", 3.5, 5.5)]
    assert len(suggestions_of(found, known, {}, 0.2, 1)) == 5


@pytest.mark.parametrize(
    ("length", "count", "alone"),
    [(1, 10, True), (1.9, 10, True), (2.1, 10, False), (1, 9, False)],
)
def test_whether_actions_happen_at_the_same_time_is_seen_in_the_labels(length, count, alone):
    segments = [segment(f"s{n}", n, n + length, f"c{n % 2}") for n in range(count)]
    assert are_alone([video(*segments), video()]) == alone
