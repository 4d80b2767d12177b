"""Parts of video files: frames at a time or in a span, without decoding the frames before."""

import numpy as np
import pytest

from afsd_jax.data.decode.excerpt import frames_at, frames_between
from afsd_jax.errors import UserError
from tests.video_files import frame_numbers, numbered_frames, overwrite_packets, write_video

COUNT, RATE = 120, 30
KINDS = {
    "mp4": ("x.mp4", {}),
    "short groups": ("x.mp4", {"options": {"g": "12"}}),
    "mkv": ("x.mkv", {}),
    "ts": ("x.ts", {}),
    "avi": ("x.avi", {"codec": "mpeg4"}),
    "webm": ("x.webm", {"codec": "libvpx-vp9"}),
}


def numbers(timed):
    return frame_numbers(np.stack([image for _, image in timed]))


@pytest.mark.parametrize("kind", KINDS)
def test_frames_at_times_are_the_ones_shown_then(tmp_path, kind):
    name, options = KINDS[kind]
    path = write_video(tmp_path / name, numbered_frames(COUNT), rate=RATE, **options)
    found = frames_at(path, [0, 1, 2.5, 3.9])
    assert numbers(found) == [0, 30, 75, 117]
    assert [time_s for time_s, _ in found] == pytest.approx([0, 1, 2.5, 3.9], abs=2e-3)
    assert numbers(frames_between(path, 1.0, 2.0)) == list(range(30, 60))


def test_spans_may_exceed_the_video(tmp_path):
    path = write_video(tmp_path / "x.mp4", numbered_frames(COUNT), rate=RATE)
    assert numbers(frames_between(path, -5.0, 0.1)) == [0, 1, 2]
    assert numbers(frames_between(path, 3.9, 100.0)) == [117, 118, 119]
    assert list(frames_between(path, 50.0, 60.0)) == []
    assert frames_at(path, [50.0]) == []


def test_frames_are_upright(tmp_path):
    frames = numbered_frames(COUNT)
    path = write_video(tmp_path / "x.mp4", frames, rate=RATE, rotation=90)
    ((_, image),) = frames_at(path, [1.0])
    assert image.shape == (96, 64, 3)
    assert frame_numbers(np.rot90(image, -1)[None]) == [30]


def test_damage_costs_only_the_frames_it_hits(tmp_path):
    frames = numbered_frames(COUNT)
    path = write_video(
        tmp_path / "x.mkv", frames, codec="ffv1", pixels="yuv444p", options={"g": "1"}
    )
    overwrite_packets(path, [31])
    assert numbers(frames_between(path, 1.0, 1.2)) == [30, 32, 33, 34, 35]


def test_a_file_that_is_not_a_video_is_refused_in_one_line(tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    for name in ("text.mp4", "none.mp4"):
        with pytest.raises(UserError, match=name):
            frames_at(tmp_path / name, [0.0])
