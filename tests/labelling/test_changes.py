"""Changes of labels: what they do, that they replay, and which ones of two pages do not fit."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afsd_jax.errors import UserError
from afsd_jax.labelling.changes import (
    ClassChange,
    PutClass,
    Suggested,
    VideoChange,
    changed,
    check_change,
    conflicts,
)
from afsd_jax.labelling.records import Labels, Segment, Suggestion

RUN = Segment("a", "run", 1.0, 2.0)
FOUND = [Suggestion("s", "jump", 3.0, 4.0, 0.75), Suggestion("t", "run", 5.0, 6.0, 0.25)]
KEYS = st.sampled_from(["a", "b", "c"])
NAMES = st.sampled_from(["run", "jump", "rest"])
SEGMENTS = st.builds(
    lambda key, label, start: Segment(key, label, start, start + 1),
    KEYS,
    NAMES,
    st.integers(0, 9).map(float),
)
SUGGESTIONS = st.lists(
    st.builds(
        lambda key, label, score: Suggestion(key, label, 1.0, 2.0, score),
        KEYS,
        NAMES,
        st.sampled_from([0.25, 0.5]),
    ),
    max_size=3,
)
IDS = st.lists(KEYS, max_size=2)
VIDEOS = st.sampled_from(["one", "two"])
CHANGES = st.one_of(
    st.builds(
        VideoChange,
        VIDEOS,
        st.lists(SEGMENTS, max_size=2),
        *[IDS] * 5,
        st.sampled_from([None, True, False]),
    ),
    st.builds(Suggested, VIDEOS, SUGGESTIONS),
    st.builds(
        ClassChange,
        st.lists(st.builds(PutClass, NAMES, st.just("#112233"), NAMES), max_size=1),
    ),
)


def after(*changes: object, labels: Labels | None = None) -> Labels:
    labels = labels or Labels()
    for change in changes:
        labels = changed(labels, change)
    return labels


@given(st.lists(CHANGES, max_size=12))
def test_changes_that_went_through_json_give_the_same_labels(changes):
    union = VideoChange | ClassChange | Suggested
    read = [msgspec.json.decode(msgspec.json.encode(one), type=union) for one in changes]
    labels = after(*changes)
    assert after(*read) == labels
    assert labels.version == len(changes)
    assert msgspec.json.decode(msgspec.json.encode(labels), type=Labels) == labels


@given(st.lists(CHANGES, max_size=12))
def test_each_label_has_a_class_with_a_colour(changes):
    labels = after(*changes)
    for video in labels.videos.values():
        for one in (*video.segments.values(), *video.suggestions.values()):
            assert labels.classes[one.label].color.startswith("#")


@given(st.lists(CHANGES, max_size=8), SEGMENTS)
def test_the_inverse_change_restores_the_segments(changes, segment):
    labels = after(*changes)
    before = labels.videos["one"].segments if "one" in labels.videos else {}
    there = before.get(segment.id)
    inverse = VideoChange("one", put=[there]) if there else VideoChange("one", remove=[segment.id])
    labels = after(VideoChange("one", put=[segment]), inverse, labels=labels)
    assert labels.videos["one"].segments == before


def test_a_suggestion_is_decided_once_and_can_be_taken_back():
    labels = after(
        Suggested("one", FOUND), VideoChange("one", put=[RUN], accept=["s"], reject=["t"])
    )
    video = labels.videos["one"]
    assert (list(video.suggestions), list(video.accepted), list(video.rejected)) == (
        [],
        ["s"],
        ["t"],
    )
    labels = after(VideoChange("one", remove=["a"], unaccept=["s"], unreject=["t"]), labels=labels)
    video = labels.videos["one"]
    assert {*video.suggestions} == {"s", "t"}
    assert (video.accepted, video.rejected, video.segments) == ({}, {}, {})


def test_new_suggestions_replace_those_that_are_not_decided():
    labels = after(Suggested("one", FOUND), VideoChange("one", reject=["t"]))
    labels = after(Suggested("one", [Suggestion("u", "run", 0.0, 1.0, 0.5)]), labels=labels)
    video = labels.videos["one"]
    assert (list(video.suggestions), list(video.rejected)) == (["u"], ["t"])


def test_a_class_is_renamed_everywhere_and_in_later_suggestions():
    labels = after(VideoChange("one", put=[RUN]), Suggested("two", FOUND))
    labels = after(ClassChange([PutClass("sprint", "#aabbcc", was="run")]), labels=labels)
    assert list(labels.classes) == ["sprint", "jump"]
    assert labels.classes["sprint"].color == "#aabbcc"
    assert labels.videos["one"].segments["a"].label == "sprint"
    assert [s.label for s in labels.videos["two"].suggestions.values()] == ["jump", "sprint"]
    labels = after(Suggested("one", FOUND), labels=labels)
    assert [s.label for s in labels.videos["one"].suggestions.values()] == ["jump", "sprint"]
    labels = after(ClassChange([PutClass("run", "#aabbcc", was="sprint")]), labels=labels)
    labels = after(Suggested("one", FOUND), labels=labels)
    assert [s.label for s in labels.videos["one"].suggestions.values()] == ["jump", "run"]


def test_classes_become_one_by_renaming():
    labels = after(Suggested("one", FOUND))
    labels = after(ClassChange([PutClass("run", "#aabbcc", was="jump")]), labels=labels)
    assert list(labels.classes) == ["run"]
    assert {s.label for s in labels.videos["one"].suggestions.values()} == {"run"}


def test_a_class_without_segments_is_removed_with_its_suggestions():
    labels = after(VideoChange("one", put=[RUN]), Suggested("one", FOUND))
    with pytest.raises(UserError, match="class 'run': has segments"):
        check_change(labels, ClassChange(remove=["run"]))
    labels = after(ClassChange(remove=["jump"]), labels=labels)
    assert list(labels.classes) == ["run"]
    assert list(labels.videos["one"].suggestions) == ["t"]


@pytest.mark.parametrize(
    ("change", "conflict"),
    [
        (VideoChange("one", put=[Segment("a", "run", 0.0, 2.0)]), True),
        (VideoChange("one", remove=["a"]), True),
        (VideoChange("one", put=[RUN]), False),  # the same already
        (VideoChange("one", put=[Segment("b", "run", 0.0, 2.0)]), False),
        (VideoChange("one", put=[Segment("gone", "run", 0.0, 2.0)]), True),
        (VideoChange("one", remove=["gone"]), False),  # the same already
    ],
)
def test_only_changes_of_what_another_page_changed_are_conflicts(change, conflict):
    gone = Segment("gone", "run", 7.0, 8.0)
    labels = after(VideoChange("one", put=[RUN, gone]), VideoChange("one", remove=["gone"]))
    assert conflicts(labels.videos["one"], change, version=0) == conflict
    assert not conflicts(labels.videos["one"], change, version=2)
