"""A video read from a pipe gives the same frames as the same bytes in a file."""

import gc
import io
import os

import av
import numpy as np
import pytest

from afsd_jax.data.decode.pipe_reader import PipeReader
from afsd_jax.data.decode.video_reader import VideoReader
from afsd_jax.errors import UserError
from tests.video_files import frame_numbers, numbered_frames, overwrite_packets, write_video


class Pipe:
    """Bytes that can be read once, in pieces that do not match packets."""

    def __init__(self, content: bytes):
        self._content = io.BytesIO(content)

    def read(self, size: int) -> bytes:
        return self._content.read(min(size, 1000))


def read(content: bytes, fps: float = 10.0) -> tuple[np.ndarray, PipeReader]:
    reader = PipeReader(Pipe(content), "stream", fps, (64, 96))
    return np.stack(list(reader)), reader


@pytest.mark.parametrize("suffix", ["ts", "mkv"])
@pytest.mark.parametrize(
    ("rate", "fps"), [(30, 10), (25, 10), (24000 / 1001, 10), (5, 10), (30, 0)]
)
def test_frames_are_those_of_the_file(tmp_path, suffix, rate, fps):
    path = write_video(tmp_path / f"x.{suffix}", numbered_frames(75), rate=rate)
    expected = VideoReader(path, fps, (64, 96))
    frames, reader = read(path.read_bytes(), fps)
    np.testing.assert_array_equal(frames, np.stack(list(expected)))
    assert reader.fps == pytest.approx(expected.fps)
    assert reader.duration_s == pytest.approx(expected.duration_s, abs=2e-3)  # Matroska's units
    assert reader.damaged == 0


def test_frames_at_odd_times_are_those_of_the_file(tmp_path):
    times_s = np.cumsum(np.random.default_rng(0).uniform(0.01, 0.3, 75)).tolist()
    path = write_video(tmp_path / "x.mkv", numbered_frames(75), times_s=times_s)
    expected = np.stack(list(VideoReader(path, 10.0, (64, 96))))
    np.testing.assert_array_equal(read(path.read_bytes())[0][: len(expected)], expected)


@pytest.mark.parametrize(("first_s", "second_s"), [(40, 10), (10, 30 * 3600)])
def test_the_video_continues_where_its_clock_jumps(tmp_path, first_s, second_s):
    content = b""
    for start_s, frames in ((first_s, range(30)), (second_s, range(30, 60))):
        times_s = [start_s + i / 10 for i in range(30)]
        pixels = numbered_frames(60)[frames]
        path = write_video(tmp_path / f"{start_s}.ts", pixels, rate=10, times_s=times_s)
        content += path.read_bytes()
    frames, reader = read(content)
    assert reader.duration_s == pytest.approx(6, abs=0.3)
    assert len(frames) == pytest.approx(60, abs=3)
    assert set(frame_numbers(frames)) > {*range(29), *range(33, 59)}


def test_damage_is_counted_and_does_not_end_the_video(tmp_path):
    options = {"codec": "mpeg4", "options": {"g": "1"}}
    path = write_video(tmp_path / "x.mkv", numbered_frames(60), rate=10, **options)
    overwrite_packets(path, [20, 21, 40])
    frames, reader = read(path.read_bytes())
    assert reader.damaged == 3
    assert len(frames) == 60


def held() -> tuple[int, int]:
    """The threads of this process, and its open containers."""
    containers = [x for x in gc.get_objects() if issubclass(type(x), av.container.InputContainer)]
    return len(os.listdir("/proc/self/task")), len(containers)


def test_a_reader_that_is_gone_holds_no_threads_or_memory(tmp_path):
    content = write_video(tmp_path / "x.mkv", numbered_frames(20), rate=10).read_bytes()
    gc.collect()
    gc.disable()
    try:
        threads, containers = held()
        _, reader = read(content + content)
        assert reader.duration_s == pytest.approx(4.0)
        del reader
        now = held()
        assert now[0] <= threads
        assert now[1] == containers
    finally:
        gc.enable()


def test_a_cut_video_is_read_up_to_the_cut(tmp_path):
    path = write_video(tmp_path / "x.mkv", numbered_frames(60), rate=10, options={"g": "10"})
    content = path.read_bytes()
    frames, _ = read(content[: len(content) * 2 // 3])
    assert 10 < len(frames) < 60
    assert frame_numbers(frames) == list(range(len(frames)))


@pytest.mark.parametrize("content", [b"", b"no video at all", b"ffconcat version 1.0\nfile x.ts\n"])
def test_a_file_that_is_not_a_video_is_refused_in_one_line(content):
    with pytest.raises(UserError, match="stream: not a video, or one that cannot be read"):
        read(content)


def test_an_mp4_whose_index_lies_at_its_end_is_refused_with_a_remedy(tmp_path):
    path = write_video(tmp_path / "x.mp4", numbered_frames(60))
    with pytest.raises(UserError, match=r"most mp4 files cannot.*matroska"):
        read(path.read_bytes())


def test_a_video_without_a_complete_frame_is_refused(tmp_path):
    path = write_video(tmp_path / "x.ts", numbered_frames(1), rate=30)
    with pytest.raises(UserError, match=r"stream: ended after 0\.\d+ s, too short for one frame"):
        read(path.read_bytes())
