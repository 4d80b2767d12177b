"""Pictures of detections."""

import re

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from afsd_jax.report.colors import class_colors, fade, text_on
from afsd_jax.report.timeline import draw_timeline
from afsd_jax.report.tracks import Track, clock, in_lanes
from afsd_jax.types import Action, Detection

LABELS = ["fall", "rise"]
RGB = {label: tuple(bytes.fromhex(color[1:])) for label, color in class_colors(LABELS).items()}


def picture(path):
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


def share_of(pixels, color):
    return np.mean(np.all(pixels == np.array(color), axis=-1))


# Timeline


def test_a_timeline_shows_actions_and_detections_where_they_are(tmp_path):
    path = tmp_path / "new" / "timeline.png"
    track = Track("video", 40.0, [Detection("rise", 1.0, 20, 30)], [Action("fall", 0, 10)])
    draw_timeline(path, [track], labels=LABELS)
    pixels = picture(path)
    # The axis spans the picture from 0.95 inch to 0.3 inch before its right end, at 150 dpi.
    left, right = 0.95 * 150, pixels.shape[1] - 0.3 * 150
    for label, start, end in (("fall", 0, 10), ("rise", 20, 30)):
        above_legend = pixels[: -int(0.5 * 150)]
        columns = np.flatnonzero(np.all(above_legend == RGB[label], axis=-1).any(axis=0))
        seconds = (columns[[0, -1]] - left) / (right - left) * 40
        np.testing.assert_allclose(seconds, [start, end], atol=0.15)


def test_weak_detections_are_not_drawn(tmp_path):
    track = Track("video", 40.0, [Detection("rise", 0.3, 20, 30), Detection("fall", 0.2, 0, 9)])
    draw_timeline(tmp_path / "all.png", [track], labels=LABELS, min_score=0.2)
    draw_timeline(tmp_path / "some.png", [track], labels=LABELS, min_score=0.25)
    assert share_of(picture(tmp_path / "all.png"), RGB["fall"]) > 0
    assert share_of(picture(tmp_path / "some.png"), RGB["fall"]) == 0


def test_overlapping_detections_take_lanes_up_to_the_limit(tmp_path):
    track = Track("video", 40.0, [Detection("rise", 0.9 - 0.1 * i, 20, 30) for i in range(6)])
    heights = []
    for limit in (1, 2, 4, 6, 9):
        draw_timeline(tmp_path / "a.png", [track], max_lanes=limit)
        heights.append(picture(tmp_path / "a.png").shape[0])
    assert heights[0] < heights[1] < heights[2] < heights[3] == heights[4]


def test_several_videos_are_drawn_one_below_the_other(tmp_path):
    track = Track("video", 40.0, [Detection("rise", 0.9, 20, 30)])
    draw_timeline(tmp_path / "one.png", [track])
    draw_timeline(tmp_path / "two.png", [track, track._replace(duration_s=7200.0)])
    one, two = picture(tmp_path / "one.png"), picture(tmp_path / "two.png")
    assert two.shape[0] > 1.5 * one.shape[0]


def test_odd_content_is_drawn_all_the_same(tmp_path):
    many = [f"class {i}" for i in range(45)]
    tracks = [
        Track("nothing", 3.0, [], []),
        Track("$x^{ <odd> & name", 0.2, [Detection("$\\frac", 7.0, -5, 9)]),
        Track("outside", 9.0, [Detection("late", 0.5, 20, 30), Detection("flat", 0.5, 3, 3)]),
        Track("many", 90.0, [Detection(c, 0.5, 2 * i, 2 * i + 1) for i, c in enumerate(many)]),
    ]
    draw_timeline(tmp_path / "odd.png", tracks)
    assert picture(tmp_path / "odd.png").std() > 0


# Layout and colours

times = st.floats(0, 100)
detections = st.lists(
    st.builds(
        lambda label, score, start, length: Detection(label, score, start, start + length),
        st.sampled_from(["a", "b b", "c"]),
        st.floats(0, 1),
        times,
        times,
    ),
    max_size=20,
)


@given(detections, st.integers(1, 5))
def test_no_two_segments_of_a_lane_overlap_and_none_is_left_out_needlessly(items, limit):
    lanes = in_lanes(items, limit)
    assert len(lanes) <= limit

    def overlap(a, b):
        return a.start_s < b.end_s and b.start_s < a.end_s

    for lane in lanes:
        assert not any(overlap(a, b) for i, a in enumerate(lane) for b in lane[:i])
    placed = [item for lane in lanes for item in lane]
    for item in items:
        blocked = len(lanes) == limit and all(
            any(overlap(item, other) for other in lane) for lane in lanes
        )
        assert item in placed or blocked


def test_thirty_classes_have_thirty_colours():
    colors = class_colors([str(i) for i in range(30)]).values()
    assert len(set(colors)) == 30
    assert all(re.fullmatch("#[0-9a-f]{6}", color) for color in colors)


def test_text_is_dark_on_pale_bars_and_white_on_strong_ones():
    strong = class_colors(["a"])["a"]
    assert fade(strong, 1) == strong
    assert fade(strong, 0) == "#ffffff"
    assert text_on(strong) == "#ffffff"
    assert text_on(fade(strong, 0.3)) != "#ffffff"


def test_times_are_written_as_a_clock():
    assert [clock(s) for s in (0, 59.4, 59.6, 754, 3600)] == [
        "0:00", "0:59", "1:00", "12:34", "1:00:00",
    ]  # fmt: skip
