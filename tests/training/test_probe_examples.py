"""The examples of a linear probe."""

from collections import Counter
from typing import NamedTuple

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from afsd_jax.training import probe_examples
from afsd_jax.training.probe_examples import (
    BACKGROUND,
    ENOUGH,
    LEAST,
    choose_videos,
    draw_sample,
    examples_of,
)


class Video(NamedTuple):
    """What examples need of a prepared video."""

    num_frames: int
    segments: np.ndarray
    labels: np.ndarray
    name: str = ""


def video(num_frames: int, *actions: tuple[float, float, int]) -> Video:
    rows = np.array(actions, np.float64).reshape(-1, 3)
    return Video(num_frames, rows[:, :2], rows[:, 2].astype(np.int64))


def regular(count: int, label: int = 1) -> Video:
    """A video with an action of 10 frames in every 20, in the middle."""
    return video(20 * count, *((20 * i + 5, 20 * i + 15, label) for i in range(count)))


def test_actions_and_the_gaps_between_them_are_examples():
    found = examples_of([regular(LEAST)])
    actions = [x for x in found if x.label == 1]
    background = [x for x in found if x.label == BACKGROUND]
    assert [(x.start, x.end) for x in actions] == [(20 * i + 5, 20 * i + 15) for i in range(LEAST)]
    inner = [(20 * i + 15, 20 * i + 25) for i in range(LEAST - 1)]
    assert [(x.start, x.end) for x in background] == [(0, 5), *inner, (20 * LEAST - 5, 20 * LEAST)]


def test_background_is_as_long_as_an_action_and_in_the_middle_of_its_gap():
    found = examples_of([regular(LEAST), video(1000)])
    (far,) = [(x.start, x.end) for x in found if x.video == 1]
    assert far == (495, 505)


def test_rare_classes_are_neither_actions_nor_background():
    rare = video(100, *[(40, 60, 2)] * (LEAST - 1))
    found = examples_of([regular(LEAST), rare])
    assert {x.label for x in found} == {BACKGROUND, 1}
    assert all(x.end <= 40 or x.start >= 60 for x in found if x.video == 1)
    assert examples_of([rare]) == []


def test_many_examples_are_thinned_out_over_all_videos(monkeypatch):
    monkeypatch.setattr(probe_examples, "MOST", 20)
    found = examples_of([regular(15), regular(15)])
    assert [sum(x.label == label for x in found) for label in (0, 1)] == [10, 10]
    assert {x.video for x in found} == {0, 1}


def named(*videos: Video) -> list[Video]:
    return [one._replace(name=f"v{number}") for number, one in enumerate(videos)]


def test_videos_that_add_only_common_or_too_rare_classes_are_left_out():
    both = video(400, *[(20 * i, 20 * i + 9, 1 + i % 2) for i in range(16)])
    videos = named(regular(ENOUGH), regular(1), both, video(100), both, video(100, (1, 9, 3)))
    assert choose_videos(videos, {}) == [0, 2, 4]


def test_each_group_gives_a_video_before_one_gives_two():
    videos = named(*[regular(ENOUGH // 4)] * 12)
    assert choose_videos(videos, {}) == [0, 1, 2, 3]
    groups = {one.name: "anna" for one in videos[:8]} | {videos[8].name: "ben"}
    assert choose_videos(videos, groups) == [0, 8, 9, 10]


def test_a_sample_has_enough_actions_in_each_fold_and_no_group_in_two():
    videos = named(*[regular(LEAST)] * 8)
    groups = {"v0": "anna", "v1": "anna", "v2": "ben", "v3": "ben"}
    sample = draw_sample(videos, groups)
    counts = Counter(sample.folds[sample.labels != BACKGROUND].tolist())
    assert len(counts) >= 3
    assert min(counts.values()) >= LEAST
    folds = {}
    for example, fold in zip(sample.examples, sample.folds.tolist(), strict=True):
        name = sample.videos[example.video].name
        folds.setdefault(groups.get(name, name), set()).add(fold)
    assert all(len(of_group) == 1 for of_group in folds.values())
    assert draw_sample(videos, dict.fromkeys((v.name for v in videos), "anna")) is None
    assert draw_sample(named(video(100), regular(2)), {}) is None


def test_a_class_of_one_group_alone_is_not_compared():
    own = video(400, *[(20 * i, 20 * i + 9, 1 + i % 2) for i in range(2 * LEAST)])
    sample = draw_sample(named(own, own, *[regular(LEAST)] * 4), {"v0": "anna", "v1": "anna"})
    assert set(sample.labels.tolist()) == {BACKGROUND, 1}


@given(
    st.lists(st.tuples(st.floats(0, 90), st.floats(1, 40)), min_size=LEAST, max_size=30),
    st.integers(91, 200),
)
def test_background_never_touches_an_action(rows, num_frames):
    actions = [(a, min(a + length, num_frames), 1) for a, length in rows]
    found = examples_of([video(num_frames, *actions)])
    for piece in (x for x in found if x.label == BACKGROUND):
        assert 0 <= piece.start < piece.end <= num_frames
        assert all(b <= piece.start + 1e-9 or a >= piece.end - 1e-9 for a, b, _ in actions)
