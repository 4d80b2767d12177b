"""Subtitles that people can read."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afsd_jax.errors import UserError
from afsd_jax.report.subtitles import PAUSE, SHORTEST, Cue, readable_cues, write_subtitles
from afsd_jax.types import Detection


def test_srt_numbers_its_cues_and_uses_commas(tmp_path):
    path = tmp_path / "video.srt"
    write_subtitles(path, [Detection("rise", 0.874, 1.5, 3), Detection("fall", 0.5, 3661, 3662.25)])
    assert path.read_text() == (
        "1\n00:00:01,500 --> 00:00:03,000\nrise 0.87\n\n"
        "2\n01:01:01,000 --> 01:01:02,250\nfall 0.50\n"
    )


def test_vtt_has_its_header_and_escapes_markup(tmp_path):
    path = tmp_path / "video.vtt"
    write_subtitles(path, [Detection("a <b>\n\n& c -->", 1.0, 0, 1)])
    assert path.read_text() == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.000\na &lt;b&gt; &amp; c --&gt; 1.00\n"
    )


def test_files_end_where_the_video_ends(tmp_path):
    write_subtitles(tmp_path / "video.srt", [Detection("a", 0.5, 4.5, 9)], 0.1, 5.0)
    assert "00:00:04,000 --> 00:00:05,000" in (tmp_path / "video.srt").read_text()


def test_other_subtitle_formats_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"\.srt or \.vtt"):
        write_subtitles(tmp_path / "video.txt", [])
    assert list(tmp_path.iterdir()) == []


def test_classes_at_once_have_a_cue_each():
    found = readable_cues([Detection("a", 0.5, 0, 10), Detection("b", 0.8, 5, 15)], 0.1)
    assert found == [Cue(0, 10000, "a", 0.5), Cue(5000, 15000, "b", 0.8)]


def test_a_class_detected_twice_at_once_is_one_cue_of_the_better_score():
    found = readable_cues([Detection("a", 0.5, 0, 10), Detection("a", 0.8, 2, 12)], 0.1)
    assert found == [Cue(0, 12000, "a", 0.8)]


@pytest.mark.parametrize(
    ("start_s", "end_s", "duration_s", "expected"),
    [
        (5.0, 5.2, None, (4600, 5600)),  # evenly on both sides
        (0.1, 0.2, None, (0, 1000)),
        (9.7, 9.9, 10.0, (9000, 10000)),
        (0.1, 0.2, 0.4, (0, 400)),  # the whole of a very short video
        (8.0, 12.0, 10.0, (8000, 10000)),
        (3.0, 6.0, 10.0, (3000, 6000)),
    ],
)
def test_a_cue_lasts_a_second_within_the_video(start_s, end_s, duration_s, expected):
    (cue,) = readable_cues([Detection("a", 0.5, start_s, end_s)], 0, duration_s)
    assert cue[:2] == expected


def test_short_pauses_vanish_and_long_ones_stay_empty():
    spans = (0, 1), (1.4, 3), (3.5, 5), (6.0, 7)
    found = readable_cues([Detection("a", 0.5, *span) for span in spans], 0)
    assert [cue[:2] for cue in found] == [(0, 3000), (3500, 5000), (6000, 7000)]


def test_weak_detections_and_those_outside_the_video_are_left_out():
    outside = [Detection("a", 0.5, 12, 14), Detection("a", 0.5, -3, -1), Detection("a", 0.5, 3, 2)]
    assert readable_cues([Detection("a", 0.05, 0, 10), *outside], 0.1, 10.0) == []


@st.composite
def videos(draw):
    """A video's length in seconds, or None, and detections in it."""
    duration_s = draw(st.one_of(st.none(), st.floats(0.001, 60)))
    moment = st.floats(0, duration_s or 60)
    spans = st.tuples(moment, moment).map(sorted).filter(lambda span: span[0] < span[1])
    parts = st.tuples(st.sampled_from("abc"), st.floats(0, 1), spans)
    found = draw(st.lists(parts.map(lambda part: Detection(*part[:2], *part[2])), max_size=20))
    return duration_s, found


@given(videos())
def test_cues_are_long_and_apart_and_hold_every_detection(video):
    duration_s, items = video
    found = readable_cues(items, 0.1, duration_s)
    length = 1e9 if duration_s is None else duration_s * 1000
    assert [cue.start_ms for cue in found] == sorted(cue.start_ms for cue in found)
    for cue in found:
        assert 0 <= cue.start_ms < cue.end_ms <= math.ceil(length)
        assert cue.end_ms - cue.start_ms >= min(SHORTEST, length)
        assert cue.score >= 0.1
    for label in "abc":
        cues = [cue for cue in found if cue.label == label]
        for cue, following in itertools.pairwise(cues):
            assert following.start_ms - cue.end_ms >= PAUSE
        for item in items:
            if item.label == label and item.score >= 0.1:
                span = item.start_s * 1000, item.end_s * 1000
                assert any(cue.start_ms <= span[0] and span[1] <= cue.end_ms for cue in cues)
