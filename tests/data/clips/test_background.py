"""Background is what no action touches, and it comes from other videos."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from afsd_jax.data.clips.background import MARGIN, Backgrounds, is_background

VIDEOS = [np.array([[40.0, 60.0]]), np.array([[0.0, 100.0]]), np.empty((0, 2))]
FRAMES = [101, 100, 30]  # of which the second video has no background
UNIT = 4


@given(
    actions=st.lists(st.tuples(st.floats(0, 80), st.floats(0.1, 30)), max_size=4),
    unit=st.sampled_from([1, 2, 8]),
)
def test_background_is_more_than_the_margin_away_from_actions(actions, unit):
    segments = np.array([(start, start + length) for start, length in actions]).reshape(-1, 2)
    found = is_background(segments, 20, unit)
    for cell in range(20):
        around = range(cell - MARGIN, cell + MARGIN + 1)
        touched = any(
            start < (other + 1) * unit and end > other * unit
            for other in around
            for start, end in segments.tolist()
        )
        assert found[cell] == (not touched)


def drawn(video: int, count: int, seed: int) -> list[tuple[int, int]]:
    """(video, cell) of each cell that is drawn."""
    backgrounds = Backgrounds(VIDEOS, FRAMES, UNIT)
    stretches = backgrounds.draw(video, count, np.random.default_rng(seed))
    return [(other, cell) for other, first, stop in stretches for cell in range(first, stop)]


def test_cells_are_the_background_of_one_other_video_in_its_order():
    of_first = np.flatnonzero(is_background(VIDEOS[0], 25, UNIT)).tolist()
    assert 0 < len(of_first) < 25
    firsts = set()
    for seed in range(60):
        cells = drawn(2, 20, seed)
        assert len(cells) == 20
        assert {video for video, _ in cells} == {0}
        place = of_first.index(cells[0][1])
        expected = [of_first[(place + i) % len(of_first)] for i in range(20)]
        assert [cell for _, cell in cells] == expected
        firsts.add(cells[0][1])
    assert len(firsts) > len(of_first) / 2


def test_a_video_with_more_background_is_drawn_more_often():
    videos = [drawn(1, 1, seed)[0][0] for seed in range(300)]
    sizes = is_background(VIDEOS[0], 25, UNIT).sum(), 7  # the last partial cell does not count
    share = sizes[0] / sum(sizes)
    assert abs(videos.count(0) / 300 - share) < 0.1


def test_without_other_background_nothing_is_drawn():
    backgrounds = Backgrounds([VIDEOS[2], VIDEOS[1]], [30, 100], UNIT)
    rng = np.random.default_rng(0)
    assert backgrounds.draw(0, 5, rng) == []
    assert backgrounds.draw(1, 0, rng) == []
    assert backgrounds.draw(1, 5, rng) != []
