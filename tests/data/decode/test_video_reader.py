"""Decoding gives exactly the frames that the reference implementation keeps, from any container."""

import csv
import fractions
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from afsd_jax.data.decode import frame_times, video_reader
from afsd_jax.data.decode.frame_geometry import FrameGeometry
from afsd_jax.data.decode.resize import resize
from afsd_jax.errors import UserError
from tests.support import THUMOS14
from tests.video_files import (
    frame_numbers,
    numbered_frames,
    overwrite_packets,
    reference_rule,
    write_lossless,
    write_video,
)


@pytest.mark.parametrize("rate", ["30", "25", "24", "30000/1001", "10", "50"])
def test_constant_rate_keeps_the_frames_of_the_reference_rule(tmp_path, rate):
    path = write_video(tmp_path / "a.mp4", numbered_frames(200), rate)
    result = video_reader.read_video(path, fps=10)
    expected = reference_rule(200, float(fractions.Fraction(rate)), 10)
    assert frame_numbers(result.frames) == expected
    assert result.fps == 10
    assert result.duration_s == pytest.approx(200 / float(fractions.Fraction(rate)))
    assert result.damaged == 0


def test_real_videos_keep_as_many_frames_as_the_reference_recorded():
    if not THUMOS14.is_dir():
        pytest.skip(f"{THUMOS14} with the real annotations is not here")
    rows = []
    for subset in ("val", "test"):
        with (THUMOS14 / f"{subset}_video_info.csv").open() as file:
            rows += list(csv.DictReader(file))
    assert len(rows) == 412
    for row in rows:
        count, rate = int(float(row["count"])), float(row["fps"])
        times = frame_times.FrameTimes(np.empty(0), np.zeros(count), rate, True, count / rate)
        kept = frame_times.sample_indices(times, float(row["sample_fps"]))
        assert len(kept) == int(row["sample_count"]), row


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [
        ("a.mkv", "libx264", "yuv420p"),
        ("a.mov", "libx264", "yuv422p"),
        ("a.mp4", "libx265", "yuv420p10le"),
        ("a.webm", "libvpx-vp9", "yuv420p"),
        ("a.webm", "libvpx", "yuv420p"),
        ("a.avi", "mpeg4", "yuv420p"),
        ("a.avi", "libx264", "yuv420p"),
        ("a.mkv", "ffv1", "yuv444p"),
        ("a.ts", "libx264", "yuv420p"),
    ],
)
def test_every_container_and_codec_gives_the_same_frames(tmp_path, name, codec, pixels):
    path = write_video(tmp_path / name, numbered_frames(60), "30000/1001", codec, pixels)
    result = video_reader.read_video(path, fps=10, size=(64, 96))
    assert frame_numbers(result.frames) == reference_rule(60, 30000 / 1001, 10)


def test_an_avi_whose_clock_is_finer_than_its_frames_keeps_its_length(tmp_path):
    times_s = list(np.arange(60) / 30)
    path = write_video(tmp_path / "a.avi", numbered_frames(60), times_s=times_s)
    with av.open(str(path)) as container:
        assert container.streams.video[0].average_rate > 100, "the clock is as coarse as the frames"
    result = video_reader.read_video(path, fps=10)
    assert result.duration_s == pytest.approx(2.0, abs=0.01)
    assert len(result.frames) in (19, 20)
    assert np.abs(np.diff(frame_numbers(result.frames)) - 3).max() <= 1


def test_odd_sizes_are_decoded_without_a_skewed_row(tmp_path):
    frames = numbered_frames(12, height=51, width=83)
    path = write_lossless(tmp_path / "a.mkv", frames)
    result = video_reader.read_video(path, fps=30, size=(51, 83))
    assert np.abs(result.frames.astype(int) - frames).max() <= 3


def test_variable_rate_keeps_what_is_on_screen_just_before_each_instant(tmp_path):
    gaps = np.array([40, 40, 500, 20, 20, 20, 100, 260, 33, 67] * 3)
    times_ms = np.concatenate([[0], np.cumsum(gaps)])
    path = write_video(tmp_path / "a.mkv", numbered_frames(31), times_s=list(times_ms / 1000))
    result = video_reader.read_video(path, fps=10)
    instants = np.arange(1, len(result.frames) + 1) * 100
    assert frame_numbers(result.frames) == [int(np.sum(times_ms < t)) - 1 for t in instants]
    assert len(result.frames) in (33, 34)
    assert len(result.frames) == int(result.duration_s * 10)


def test_a_constant_rate_sampled_by_time_is_the_reference_rule():
    times = frame_times.FrameTimes(np.arange(300), np.arange(300) / 30, 30.0, True, 10.0)
    by_rule = frame_times.sample_indices(times, 10.0)
    by_time = frame_times.sample_indices(times._replace(constant=False), 10.0)
    np.testing.assert_array_equal(by_time, by_rule)


def test_a_rate_below_the_sampled_one_repeats_frames(tmp_path):
    path = write_video(tmp_path / "a.mp4", numbered_frames(20), 5)
    assert frame_numbers(video_reader.read_video(path, fps=10).frames) == list(
        np.repeat(range(20), 2)
    )


def test_max_frames_lowers_the_rate(tmp_path):
    path = write_video(tmp_path / "a.mp4", numbered_frames(200), 25)
    result = video_reader.read_video(path, fps=0, max_frames=64)
    assert result.fps == 25 * 64 / 200
    assert 63 <= len(result.frames) <= 64
    assert video_reader.read_video(path, fps=0, max_frames=768).fps == 25
    assert video_reader.read_video(path, fps=10, max_frames=768).fps == 10


def test_rotation_stated_by_the_file_is_applied(tmp_path):
    frames = np.zeros((10, 64, 96, 3), np.uint8)
    frames[:, :32, :48] = [255, 0, 0]
    upright = {}
    for angle in (0, 90, 180, 270):
        path = write_video(tmp_path / f"{angle}.mp4", frames, rotation=angle)
        size = (64, 96) if angle % 180 == 0 else (96, 64)
        upright[angle] = video_reader.read_video(path, fps=10, size=size).frames[0]
    for angle, image in upright.items():
        expected = np.rot90(upright[0].astype(int), angle // 90)
        assert np.abs(image - expected).mean() < 4, angle


def test_frames_have_the_colours_the_reference_implementation_sees(tmp_path):
    cv2 = pytest.importorskip("cv2", reason="OpenCV, with which the reference decodes")
    frames = np.random.default_rng(0).integers(0, 256, (12, 8, 10, 3), dtype=np.uint8)
    frames = np.stack([resize(frame, (180, 320)) for frame in frames])
    path = write_video(tmp_path / "a.mp4", frames)
    decoded = video_reader.read_video(path, fps=30, size=(180, 320)).frames
    capture = cv2.VideoCapture(str(path))
    for frame in decoded:
        np.testing.assert_array_equal(frame, capture.read()[1][:, :, ::-1])


def test_damaged_packets_are_skipped_and_counted_and_shift_nothing(tmp_path):
    frames = numbered_frames(90)
    path = write_lossless(tmp_path / "a.mkv", frames)
    overwrite_packets(path, [20, 21, 50])
    result = video_reader.read_video(path, fps=10)
    assert result.damaged == 3
    expected = reference_rule(90, 30, 10)
    numbers = frame_numbers(result.frames)
    assert len(numbers) == len(expected)
    assert numbers == [{20: 22, 50: 51}.get(n, n) for n in expected]


def test_a_cut_or_torn_transport_stream_says_so(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (60, 64, 96, 3), np.uint8)
    whole = write_video(tmp_path / "whole.ts", noise, rate=25)  # frames of many packets
    content, packet = whole.read_bytes(), 188
    middle = len(content) // packet // 2 * packet
    assert video_reader.read_video(whole).damaged == 0
    contents = {
        "cut in a packet": content[: middle + 77],
        "cut between packets": content[:middle],
        "torn": content[:middle] + content[middle + 20 * packet :],
    }
    for name, damaged in contents.items():
        (tmp_path / "x.ts").write_bytes(damaged)
        result = video_reader.read_video(tmp_path / "x.ts")
        assert 1 <= result.damaged <= 3, name
        assert len(result.frames) == pytest.approx(12 if name.startswith("cut") else 24, abs=1)


def test_damaged_h264_keeps_its_length(tmp_path):
    path = write_video(tmp_path / "a.mp4", numbered_frames(120), options={"g": "12"})
    overwrite_packets(path, [40, 41, 42])
    result = video_reader.read_video(path, fps=10)
    assert result.damaged >= 3
    assert len(result.frames) == 40
    assert frame_numbers(result.frames)[-5:] == reference_rule(120, 30, 10)[-5:]


def test_a_video_that_yields_nothing_names_itself(tmp_path):
    path = write_lossless(tmp_path / "rotten.mkv", numbered_frames(9))
    overwrite_packets(path, list(range(9)))
    with pytest.raises(UserError, match=r"rotten\.mkv: no frame can be decoded"):
        video_reader.read_video(path)


CENTRE = FrameGeometry(keep_aspect="center")


def bad_files(folder: Path) -> dict[str, str]:
    """Files that are no videos, and what the error says of each."""
    whole = write_video(folder / "whole.mp4", numbered_frames(120))
    (folder / "cut.mp4").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    faststart = write_video(
        folder / "fast.mp4", numbered_frames(120), container_options={"movflags": "faststart"}
    )
    (folder / "fast_cut.mp4").write_bytes(
        faststart.read_bytes()[: faststart.stat().st_size * 3 // 4]
    )
    (folder / "text.mp4").write_text("This is a text.\n" * 500)
    (folder / "empty.mp4").touch()
    (folder / "folder.mp4").mkdir()
    Image.new("RGB", (64, 64)).save(folder / "picture.png")
    write_video(folder / "short.mp4", numbered_frames(2))
    with av.open(str(folder / "sound.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        frame.rate = 8000
        container.mux(stream.encode(frame))
    return {
        "missing.mp4": "no such file",
        "cut.mp4": "truncated",
        "fast_cut.mp4": "truncated",
        "text.mp4": "not a video",
        "empty.mp4": "empty",
        "folder.mp4": "is a folder",
        "picture.png": "not a video",
        "short.mp4": "too short",
        "sound.wav": "is a sound file, not a video",
    }


def test_what_is_no_video_is_refused_in_one_line_that_names_it(tmp_path):
    for name, reason in bad_files(tmp_path).items():
        with pytest.raises(UserError) as error:
            video_reader.read_video(tmp_path / name)
        message = str(error.value)
        assert name in message
        assert reason in message
        assert "\n" not in message


@pytest.mark.parametrize(("height", "width"), [(64, 96), (96, 64), (65, 64), (64, 64)])
def test_the_centre_square_keeps_the_aspect_ratio(tmp_path, height, width):
    path = write_lossless(tmp_path / "a.mkv", numbered_frames(3, height, width))
    whole = np.stack(list(video_reader.VideoReader(path, 0, (height, width))))
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    expected = whole[:, top : top + side, left : left + side]
    found = np.stack(list(video_reader.VideoReader(path, 0, (side, side), geometry=CENTRE)))
    np.testing.assert_array_equal(found, expected)
    small = np.stack(list(video_reader.VideoReader(path, 0, (32, 32), geometry=CENTRE)))
    np.testing.assert_array_equal(small, [resize(frame, (32, 32)) for frame in expected])


def test_what_a_file_states_of_its_length_is_read_at_a_glance(tmp_path):
    path = write_video(tmp_path / "a.mp4", numbered_frames(60), 30)
    assert video_reader.stated_duration(path) == pytest.approx(2, abs=0.05)
    (tmp_path / "text.mp4").write_text("no video")
    for wrong in ("text.mp4", "missing.mp4"):
        assert video_reader.stated_duration(tmp_path / wrong) == 0
