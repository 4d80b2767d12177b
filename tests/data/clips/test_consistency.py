"""Consistency clips follow the reference implementation's index arithmetic."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afsd_jax.config import default_config
from afsd_jax.data.clips.consistency import consistency_clip, moved_length
from tests.support import GOLDEN

CASES = json.loads((GOLDEN / "consistency_clips.json").read_text())
T = 256


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c['annotations']} {c['choice']}")
def test_every_pinned_choice_gives_the_frames_and_regions_of_the_reference(case):
    segments = np.array(case["annotations"])[:, :2]

    def pick(options: int) -> int:
        return int(case["choice"] * (options - 1))

    clip = consistency_clip(segments, T, case["min_action"], pick)
    assert (clip is not None) == case["applied"]
    if clip is not None:
        assert clip.index.tolist() == case["source_frame"]
        assert clip.segments.tolist() == case["segments"]


@st.composite
def separate_actions(draw):
    """Actions with whole-frame gaps between them: (segments, cut)."""
    times = draw(st.lists(st.integers(4, 4 * 250), min_size=2, max_size=8, unique=True))
    times = np.sort(np.array(times) / 4)[: len(times) // 2 * 2]
    return times.reshape(-1, 2), draw(st.integers(1, 20))


@given(separate_actions(), st.randoms(use_true_random=False))
def test_background_moves_into_an_action_and_all_else_keeps_its_order(example, random):
    segments, cut = example
    clip = consistency_clip(segments, T, cut, random.randrange)
    if clip is None:
        return
    before, after, background = clip.segments
    assert sorted(clip.index.tolist()) == list(range(T))
    moved = np.arange(int(before[1]), int(after[0]))
    source = clip.index[moved]
    assert len(moved) == cut
    assert np.all(np.diff(source) == 1)
    for start, end in segments:
        assert source[-1] < end or source[0] >= end
        assert not (source[0] > start and source[-1] < end)
    assert np.all(np.diff(np.delete(clip.index, moved)) > 0)
    # The two parts are one action whose frames are still those of its beginning and its end.
    length = (before[1] - before[0]) + (after[1] - after[0])
    assert any(np.isclose(length, end - start) for start, end in segments)
    assert background.tolist() == [before[1] + 1, after[0] - 1]


@given(separate_actions(), st.randoms(use_true_random=False))
def test_frames_stay_inside_the_clip_even_where_actions_overlap(example, random):
    segments, cut = example
    segments = np.concatenate([segments, segments + 0.5, [[1.0, 256.0]]])
    clip = consistency_clip(segments.clip(1, T), T, cut, random.randrange)
    if clip is not None:
        assert clip.index.shape == (T,)
        assert clip.index.min() >= 0
        assert clip.index.max() < T


@given(separate_actions(), st.sampled_from([2, 4, 8]), st.randoms(use_true_random=False))
def test_frames_of_a_unit_stay_together(example, unit, random):
    segments, cut = example
    moved = -(-cut // unit) * unit
    clip = consistency_clip(segments, T, moved, random.randrange, unit)
    if clip is None:
        return
    units = clip.index.reshape(-1, unit)
    assert (units[:, 0] % unit == 0).all()
    assert (units == units[:, :1] + np.arange(unit)).all()
    assert sorted(clip.index.tolist()) == list(range(T))
    before, after, background = clip.segments
    assert after[0] - before[1] == moved
    assert background.tolist() == [before[1] + 1, after[0] - 1]


def test_background_right_after_the_action_comes_from_after_it():
    segments = np.array([[1.0, 100.0]])
    clip = consistency_clip(segments, T, 10, lambda options: 0)
    assert clip is not None
    assert clip.index[11:21].tolist() == list(range(100, 110))
    assert clip.segments.tolist() == [[1, 11], [21, 110], [12, 20]]


@pytest.mark.parametrize(("end", "made"), [(70.0, False), (70.25, True)])
def test_an_action_must_be_longer_than_twice_the_moved_background(end, made):
    clip = consistency_clip(np.array([[50.0, end]]), T, 10, lambda options: options - 1)
    assert (clip is not None) == made


@pytest.mark.parametrize(
    ("changes", "cut"),
    [
        ({}, 8),
        ({"round_up": False}, 7),
        ({"divisor": 4}, 2),
        ({"round_up": False, "divisor": 4}, 1),
    ],
)
def test_the_length_of_the_moved_background_follows_the_rules(changes, cut):
    rules = default_config().data.consistency
    rules.update(changes)
    assert moved_length(7.3, rules) == cut
