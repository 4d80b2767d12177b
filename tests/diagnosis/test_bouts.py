"""Bouts, time budget, bins and transitions, against counts by hand and by steps of time."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afsd_jax.diagnosis.bouts import bouts_of, summarize
from afsd_jax.report.behaviour_view import bouts_csv, transitions_csv
from afsd_jax.types import Action, Detection, MarkedVideo

PENS = [
    MarkedVideo(
        "pen_1",
        [
            Action("peck", 10.0, 20.0),
            Action("peck", 15.0, 25.0),  # overlaps: one bout from 10 to 25
            Action("peck", 25.0, 30.0),  # touches: another one
            Action("rest", 70.0, 130.0),  # 120 is the end of the video
        ],
        duration_s=120.0,
    ),
    MarkedVideo("pen_2", [Detection("peck", 0.9, 4.0, 5.0)], detected=True, duration_s=60.0),
    MarkedVideo("pen_3", [], duration_s=0.0),
]


def test_bouts_and_time_budget_by_video_and_class():
    summary = summarize("labels", PENS)
    assert summary.classes == ("peck", "rest")
    rows = {(entry.video, entry.label): entry for entry in summary.by_video}
    assert rows["pen_1", "peck"][2:9] == (2, 1.0, 20.0, 10.0, 10.0, 20 / 120, 10.0)
    assert rows["pen_1", "rest"][2:9] == (1, 0.5, 50.0, 50.0, 50.0, 50 / 120, 70.0)
    assert rows["pen_2", "rest"][2:9] == (0, 0.0, 0.0, None, None, 0.0, None)
    assert rows["pen_3", "peck"][2:9] == (0, None, 0.0, None, None, None, None)
    peck, rest = summary.overall
    assert peck[:9] == ("", "peck", 3, 1.0, 21.0, 7.0, 5.0, 21 / 180, 7.0)  # latency: 10 and 4 s
    assert rest.latency_s == 70.0


def test_a_bout_counts_in_the_bin_of_its_start_and_its_time_where_it_lies():
    summary = summarize("labels", PENS[:1], bin_s=50.0)
    rest = [entry for entry in summary.bins if entry.label == "rest"]
    assert [(e.begin_s, e.end_s) for e in rest] == [(0, 50), (50, 100), (100, 120)]
    assert [(e.bouts, e.total_s, e.share) for e in rest] == [(0, 0, 0), (1, 30, 0.6), (0, 20, 1)]


def test_transitions_go_from_each_bout_to_the_next():
    labels = "abacaa"
    marks = [Action(label, 10.0 * i, 10.0 * i + 5) for i, label in enumerate(labels)]
    videos = [MarkedVideo("1", marks), MarkedVideo("2", [Action("c", 0, 1), Action("a", 0.5, 2)])]
    summary = summarize("labels", videos)
    assert summary.transitions == [[1, 1, 1], [1, 0, 0], [2, 0, 0]]
    assert transitions_csv([summary]).splitlines()[1] == "labels,a,a,1,0.333333"


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 40), st.integers(1, 15)), max_size=12),
    st.integers(1, 20),
)
def test_shares_are_those_of_whole_seconds(actions, bin_s):
    """Steps of one second, marked one by one, give the same totals."""
    marks = [Action(label, start, start + length) for label, start, length in actions]
    video = MarkedVideo("v", marks, duration_s=50.0)
    steps = {
        label: {s for m in marks if m.label == label for s in range(int(m.start_s), int(m.end_s))}
        for label in "ab"
    }
    summary = summarize("labels", [video], bin_s, ["a", "b"])
    for entry in summary.overall:
        inside = {step for step in steps[entry.label] if step < 50}
        assert entry.total_s == len(inside)
        assert entry.share == pytest.approx(len(inside) / 50)
    for entry in summary.bins:
        inside = {s for s in steps[entry.label] if entry.begin_s <= s < entry.end_s}
        assert entry.total_s == len(inside)
    for label, bouts in bouts_of(video).items():
        assert all(before[1] <= after[0] for before, after in itertools.pairwise(bouts))
        assert sum(e.bouts for e in summary.bins if e.label == label) == len(bouts)
    inside = [{step for step in of_class if step < 50} for of_class in steps.values()]
    assert summary.any_s == len(set.union(*inside))
    assert summary.several_s == len(set.intersection(*inside))
    count = sum(map(len, bouts_of(video).values()))
    assert sum(map(sum, summary.transitions)) == max(count - 1, 0)


def test_no_name_or_label_is_a_formula():
    video = MarkedVideo("=v", [Action("@a", 0.0, 1.0), Action("-b", 1.0, 2.0)], duration_s=2.0)
    text = bouts_csv([summarize("+set", [video])]) + transitions_csv([summarize("+set", [video])])
    cells = [cell for line in text.splitlines()[1:] for cell in line.split(",")]
    assert not [cell for cell in cells if cell[:1] in set("=+-@")]
    assert "'+set,'=v,'@a,,,1,30.0,1.0,1.0,1.0,0.5,0.0" in text
