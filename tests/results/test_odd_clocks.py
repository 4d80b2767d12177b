"""Clips and pictures of files with odd clocks show what a player shows at the detection's time."""

from pathlib import Path

import av
import pytest

from afsd_jax.results.clips import DetectedVideo, FileFootage
from afsd_jax.results.detections import Detections
from afsd_jax.types import Detection
from tests.barcodes import number_of, write


def detections(path: Path, start_s: float, end_s: float, duration_s: float) -> Detections:
    video = DetectedVideo(path.stem, duration_s, ["peck"], FileFootage(path))
    return Detections([Detection("peck", 0.9, start_s, end_s)], video)


def numbers_in(path: Path) -> list[int]:
    with av.open(str(path)) as container:
        return [number_of(frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]


@pytest.mark.parametrize("suffix", ["h264", "hevc"])
def test_a_clip_of_a_raw_stream(tmp_path, suffix):
    codec = {"h264": "libx264", "hevc": "libx265"}[suffix]
    options = {"x265-params": "log-level=none"} if suffix == "hevc" else {}
    path = write(tmp_path / f"x.{suffix}", range(180), codec=codec, options=options)
    assert numbers_in(detections(path, 3, 4, 6).clip(0)) == list(range(90, 120))


def test_a_clip_of_a_picture_that_begins_late(tmp_path):
    times_s = [2 + number / 30 for number in range(180)]
    path = write(tmp_path / "x.mp4", range(180), times_s, sound_s=(0, 8))
    found = detections(path, 5, 6, 8)
    assert numbers_in(found.clip(0)) == list(range(90, 120))
    _, pictures_s = found.video.pictures
    assert pictures_s[0] == pytest.approx(2)
    assert pictures_s[-1] == pytest.approx(7.5)


def test_a_clip_of_the_frame_that_is_held_at_the_end(tmp_path):
    path = write(tmp_path / "x.mkv", range(90), options={"bf": "0"}, last_s=3.0)
    assert numbers_in(detections(path, 4, 5, 6).clip(0)) == [89]
