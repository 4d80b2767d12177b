"""Odd clocks: files, pipes and excerpts show each picture when players show it."""

import logging
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import pytest

from afsd_jax.data.decode.excerpt import frames_at, frames_between
from afsd_jax.data.decode.video_reader import VideoReader
from afsd_jax.errors import UserError
from tests.barcodes import HEIGHT, WIDTH, number_of, write
from tests.clocks import (
    CODECS,
    DELAYED,
    FPS,
    check,
    numbers,
    read_pipe,
    seconds,
    write_delayed,
)

CASES = Path(__file__).parent / "cases"


def write_parts(
    folder: Path, suffix: str, parts: Sequence[Sequence[float]], sound: bool = True
) -> Path:
    """Concatenates recordings whose pictures have these times, seconds."""
    content, first = b"", 0
    for index, times_s in enumerate(parts):
        path = write(
            folder / f"part_{index}.{suffix}",
            range(first, first + len(times_s)),
            times_s,
            codec=CODECS.get(suffix, "libx264"),
            # MPEG-2 knows few units of time.
            unit=Fraction(1, 30) if suffix in ("mpg", "vob") else None,
            sound_s=(times_s[0], times_s[-1] + 1 / 30) if sound else None,
            options={"g": "15"},
        )
        first += len(times_s)
        content += path.read_bytes()
    (folder / f"joined.{suffix}").write_bytes(content)
    return folder / f"joined.{suffix}"


@pytest.mark.parametrize("sound", [True, False])
@pytest.mark.parametrize("suffix", ["ts", "mpg", "vob", "mkv", "webm"])
@pytest.mark.parametrize("starts_s", [(0, 0), (0, 1), (3, 0), (0, 0, 0)])
def test_where_a_clock_starts_again_time_goes_on(tmp_path, suffix, starts_s, sound):
    path = write_parts(tmp_path, suffix, [seconds(start_s, 90) for start_s in starts_s], sound)
    count = 90 * len(starts_s)
    check(path, range(count), seconds(0, count), count / 30, slack=1)


@pytest.mark.parametrize("sound", [True, False])
@pytest.mark.parametrize("suffix", ["ts", "mpg", "vob"])
@pytest.mark.parametrize("starts_s", [(40, 10), (2, 200), (10, 30 * 3600)])
def test_where_a_clock_is_set_time_goes_on(tmp_path, suffix, starts_s, sound):
    path = write_parts(tmp_path, suffix, [seconds(start_s, 90) for start_s in starts_s], sound)
    check(path, range(180), seconds(0, 180), 6, slack=1)


@pytest.mark.parametrize(
    ("suffix", "gap_s"), [("ts", 20), ("ts", 90), ("mkv", 20), ("webm", 20), ("mkv", 150)]
)
def test_a_gap_shows_the_frame_before_it(tmp_path, suffix, gap_s):
    times_s = [*seconds(0, 90), *seconds(3 + gap_s, 90)]
    codec = CODECS.get(suffix, "libx264")
    path = write(tmp_path / f"x.{suffix}", range(180), times_s, codec=codec)
    check(path, range(180), times_s, 6 + gap_s, slack=2)


def test_a_gap_of_days_is_refused_in_files_and_pipes(tmp_path):
    times_s = [*seconds(0, 60), *seconds(3 * 24 * 3600, 60)]
    path = write(tmp_path / "x.mkv", range(120), times_s)
    with pytest.raises(UserError, match="times are wrong"):
        VideoReader(path)
    with pytest.raises(UserError, match="times are wrong"):
        read_pipe(path)


AVI_CODECS = {
    "mjpeg": ("mjpeg", {}),
    "mpeg4": ("mpeg4", {}),
    "mpeg4 with B-frames": ("mpeg4", {"bf": "2", "g": "12"}),
    "h264": ("libx264", {"bf": "0"}),
    "h264 with B-frames": ("libx264", {"g": "20"}),
}
RATES = {"30, then 10": (60, 3, 40), "30, then 15": (60, 2, 60), "one a second": (1, 30, 5)}


@pytest.mark.parametrize("rates", RATES)
@pytest.mark.parametrize("codec", AVI_CODECS)
def test_frames_that_avi_dropped_are_shown_for_longer(tmp_path, codec, rates):
    encoder, options = AVI_CODECS[codec]
    every, step, count = RATES[rates]
    places = [*range(every), *range(every - 1 + step, every + count * step, step)]
    times_s = [place / 30 for place in places]
    path = tmp_path / "x.avi"
    write(path, places, times_s, codec=encoder, unit=Fraction(1, 30), options=options)
    check(path, places, times_s, times_s[-1] + step / 30)


@pytest.mark.parametrize("suffix", DELAYED)
def test_a_picture_that_begins_later_is_shown_later(tmp_path, suffix):
    path = write_delayed(tmp_path, suffix, 2, 0)
    check(path, range(180), seconds(2, 180), 8, pipe=suffix not in ("mp4", "mov"), slack=1)
    assert list(frames_between(path, 0, 1.5)) == []
    samples = numbers(list(VideoReader(path, FPS, (HEIGHT, WIDTH))))
    assert samples[:20] == [0] * 20
    assert [number_of(image) for _, image in frames_at(path, [5.05])] in ([91], [92])


@pytest.mark.parametrize("suffix", DELAYED)
@pytest.mark.parametrize(("picture_s", "sound_s"), [(3600, 3600), (0.07, 0), (0, 2)])
def test_else_time_begins_with_the_picture(tmp_path, suffix, picture_s, sound_s):
    path = write_delayed(tmp_path, suffix, picture_s, sound_s)
    check(path, range(180), seconds(0, 180), 6, pipe=suffix not in ("mp4", "mov"), slack=0)


def test_a_delayed_picture_in_a_fragmented_mp4(tmp_path):
    flags = {"movflags": "frag_keyframe+empty_moov+delay_moov"}
    path = write(
        tmp_path / "x.mp4", range(180), seconds(2, 180), sound_s=(0, 8), container_options=flags
    )
    check(path, range(180), seconds(2, 180), 8, slack=1)


def test_a_delayed_video_keeps_to_its_most_frames(tmp_path):
    path = write_delayed(tmp_path, "mp4", 2, 0)
    reader = VideoReader(path, 0, (HEIGHT, WIDTH), max_frames=40)
    found = numbers(list(reader))
    assert len(found) == 40
    assert reader.fps == 5
    assert found[:10] == [0] * 10
    assert found[25] == 95
    assert VideoReader(path, 0).fps == 30


def test_the_reference_counts_frames_from_the_first(tmp_path):
    path = write_delayed(tmp_path, "mp4", 2, 0)
    reader = VideoReader(path, FPS, (HEIGHT, WIDTH), count_frames=True)
    assert reader.duration_s == 6
    assert numbers(list(reader)) == list(range(2, 180, 3))


# Raw streams by suffix: their encoder and its options.
RAW = {
    "h264": ("libx264", {}),
    "h264 without B-frames": ("libx264", {"bf": "0", "g": "30"}),
    "hevc": ("libx265", {"x265-params": "log-level=none"}),
    "m2v": ("mpeg2video", {"bf": "2"}),
    "m1v": ("mpeg1video", {}),
    "m4v": ("mpeg4", {"bf": "2"}),
}


@pytest.mark.parametrize("rate", [30, 25, 24, Fraction(30_000, 1001)])
@pytest.mark.parametrize("name", RAW)
def test_raw_streams_run_at_the_rate_in_their_header(tmp_path, name, rate, caplog):
    codec, options = RAW[name]
    suffix = name.split()[0]
    kind = "m4v" if suffix == "m4v" else None
    path = tmp_path / f"x.{suffix}"
    write(path, range(90), rate=rate, codec=codec, options=options, kind=kind)
    check(path, range(90), seconds(0, 90, float(rate)), 90 / float(rate))
    assert not caplog.records


def test_of_a_raw_stream_without_a_rate_the_assumed_one_is_said(tmp_path, caplog):
    options = {"x265-params": "log-level=none:vui-timing-info=0"}
    path = write(tmp_path / "x.hevc", range(60), codec="libx265", options=options)
    check(path, range(60), seconds(0, 60, 25), 60 / 25)
    said = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(said) == 2  # of the file and of the pipe
    assert f"{path}: states no frame rate; 25 frames per second are assumed" in said[0].message


@pytest.mark.parametrize("suffix", ["mkv", "webm", "mp4", "mov"])
def test_the_last_picture_lasts_as_long_as_the_file_says(tmp_path, suffix):
    path = write(
        tmp_path / f"x.{suffix}",
        range(90),
        codec=CODECS.get(suffix, "libx264"),
        options={"bf": "0"} if suffix != "webm" else {},
        last_s=3.0,
    )
    duration_s = 89 / 30 + 3
    check(path, range(90), seconds(0, 90), duration_s, pipe=suffix in ("mkv", "webm"))
    held = [(time_s, number_of(image)) for time_s, image in frames_between(path, 4, 5)]
    assert held == [(4, 89)]
    assert [number_of(image) for _, image in frames_at(path, [3.5, 5.5])] == [89, 89]
    assert frames_at(path, [duration_s + 1]) == []


@pytest.mark.parametrize(
    ("name", "shown"),
    [("edit_head.mp4", range(81, 276)), ("edit_mid.mp4", [*range(120), *range(240, 360)])],
)
def test_what_an_edit_list_leaves_out_is_not_damage(name, shown):
    check(CASES / name, shown, seconds(0, len(shown)), len(shown) / 30, pipe=False)
