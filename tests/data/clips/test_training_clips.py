"""Training clips are those of the reference implementation."""

import csv
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afsd_jax.config import default_config
from afsd_jax.data.clips.training_clips import boundary_targets, video_clips
from tests.support import GOLDEN, THUMOS14


def rules(**changes):
    data = default_config().data
    data.update(changes)
    return data


def read_thumos14(annotations: str) -> dict[str, tuple[int, np.ndarray, np.ndarray]]:
    """Returns (sampled frames, segments, labels) of each video, in sampled frames."""
    if not THUMOS14.is_dir():
        pytest.skip(f"the annotations of THUMOS14 are not in {THUMOS14}")
    classes = (THUMOS14 / "Class Index_Detection.txt").read_text().split()[::2]
    labels = {number: i for i, number in enumerate(classes, 1)}
    with (THUMOS14 / "val_video_info.csv").open() as file:
        info = {row["video"]: row for row in csv.DictReader(file)}
    actions: dict[str, list[tuple[float, float, int]]] = {}
    with (THUMOS14 / annotations).open() as file:
        for row in csv.DictReader(file):
            if row["type_idx"] in labels:  # not "Ambiguous"
                video = info[row["video"]]
                scale = int(video["sample_count"]) / float(video["count"])
                bounds = (float(row["startFrame"]) * scale, float(row["endFrame"]) * scale)
                actions.setdefault(row["video"], []).append((*bounds, labels[row["type_idx"]]))
    return {
        name: (int(info[name]["sample_count"]), np.array(rows)[:, :2], np.array(rows)[:, 2])
        for name, rows in actions.items()
    }


@pytest.mark.parametrize("annotations", ["val_Annotation.csv", "val_Annotation_ours.csv"])
def test_thumos14_gives_the_clips_of_the_reference(annotations):
    golden = json.loads((GOLDEN / "clips_thumos14.json").read_text())
    videos = {name: video_clips(*v, rules()) for name, v in read_thumos14(annotations).items()}
    clips = {(name, clip.offset): clip for name, video in videos.items() for clip in video.clips}
    targets = {key: boundary_targets(clip.segments, 256) for key, clip in clips.items()}

    assert len(clips) == golden["clips"] == 7842
    assert {name: len(video.clips) for name, video in videos.items()} == golden["per_video"]
    assert {n: math.ceil(v.min_action) for n, v in videos.items()} == golden["min_action"]
    assert sum(len(clip.labels) for clip in clips.values()) == golden["annotations"]
    assert sum(int(start.sum()) for start, _ in targets.values()) == golden["start_sum"]
    assert sum(int(end.sum()) for _, end in targets.values()) == golden["end_sum"]
    for expected in golden["first"]:
        key = expected["video"], expected["offset"]
        clip = clips[key]
        assert np.column_stack([clip.segments, clip.labels]).tolist() == expected["annos"]
        start, end = targets[key]
        assert np.flatnonzero(start).tolist() == expected["start"]
        assert np.flatnonzero(end).tolist() == expected["end"]


def one_by_one(num_frames, actions, length, stride, share):
    """The rules again, an action at a time: [(offset, [(start, end, label)])]."""
    last = max(num_frames - length, 0)
    clips = []
    for offset in sorted({*range(0, last + 1, stride), last}):
        kept, whole = [], False
        for start, end, label in actions:
            inside = min(end, offset + length) - max(start, offset + 1)
            if inside >= share * (end - start):
                kept.append((max(start - offset, 1), min(end - offset, length), label))
            whole |= inside >= end - start
        if whole:
            clips.append((offset, kept))
    return clips


# Quarters are exact in binary, so that both versions compare equal numbers.
QUARTERS = st.integers(0, 1200).map(lambda n: n / 4)
ACTIONS = st.lists(
    st.tuples(QUARTERS, st.integers(1, 400).map(lambda n: n / 4), st.integers(1, 5)).map(
        lambda a: (a[0], a[0] + a[1], a[2])
    ),
    max_size=8,
)


@given(num_frames=st.integers(1, 300), actions=ACTIONS, stride=st.integers(1, 40))
def test_clips_are_those_found_one_action_at_a_time(num_frames, actions, stride):
    array = np.array(actions).reshape(-1, 3)
    data = rules(clip_length=64, clip_stride=stride)
    found = video_clips(num_frames, array[:, :2], array[:, 2], data).clips
    assert [
        (c.offset, [(*s, n) for s, n in zip(c.segments.tolist(), c.labels.tolist(), strict=True)])
        for c in found
    ] == one_by_one(num_frames, actions, 64, stride, 0.5)


def test_the_shortest_action_includes_clips_that_are_left_out():
    # Both clips cut their action; cut at the first clip's end, it is 15 frames long.
    segments = np.array([[49.0, 75.0]])
    video = video_clips(80, segments, np.array([1]), rules(clip_length=64, clip_stride=50))
    assert [clip.offset for clip in video.clips] == [16]
    assert video.min_action == 15


def test_one_clip_keeps_every_action_except_those_of_no_length():
    segments = np.array([[0.0, 10.0], [20.0, 20.0], [30.0, 29.0], [690.5, 768.0]])
    data = rules(clip_length=768, one_clip=True, class_agnostic=True)
    video = video_clips(768, segments, np.array([4, 5, 6, 7]), data)
    (clip,) = video.clips
    assert clip.offset == 0
    assert clip.segments.tolist() == [[0.0, 10.0], [690.5, 768.0]]
    assert clip.labels.tolist() == [1, 1]
    assert video.min_action == 10


@pytest.mark.parametrize("one_clip", [False, True])
@pytest.mark.parametrize("segments", [np.empty((0, 2)), np.array([[5.0, 5.0]])])
def test_a_video_without_actions_gives_no_clips(one_clip, segments):
    labels = np.ones(len(segments))
    assert video_clips(900, segments, labels, rules(one_clip=one_clip)).clips == []


def test_boundaries_are_marked_a_twentieth_of_the_action_around_and_at_least_a_frame():
    segments = np.array([[10.0, 50.0], [60.5, 61.0], [63.0, 64.0]])
    start, end = boundary_targets(segments, 64)
    # 2 frames around 10 and 50; 59.5 and 61.5 round to even; the clip's last frame is 63.
    assert np.flatnonzero(start).tolist() == [8, 9, 10, 11, 12, 60, 61, 62, 63]
    assert np.flatnonzero(end).tolist() == [48, 49, 50, 51, 52, 60, 61, 62, 63]
