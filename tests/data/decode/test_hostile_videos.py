"""Files made to deceive the decoder are refused in one line, before they cost memory or time."""

import os
import socket
import threading
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from afsd_jax.data.decode.frame_times import read_frame_times
from afsd_jax.data.decode.video_reader import VideoReader, read_video
from afsd_jax.errors import UserError
from tests.video_files import numbered_frames, write_sound, write_video


@pytest.mark.parametrize("name", ["http:127.0.0.1:8765", "12:30.mp4", "concat:a|b.mp4", "-.mp4"])
def test_a_name_that_looks_like_an_address_is_a_file(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "plain.mp4", numbered_frames(60)).rename(tmp_path / name)
    assert VideoReader(name).num_frames == 20


@pytest.mark.parametrize(
    "content",
    [
        "ffconcat version 1.0\nfile whole.mp4\nduration 2\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nwhole.mp4\n#EXT-X-ENDLIST\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\n",
    ],
)
def test_texts_that_name_other_files_or_hosts_are_refused(tmp_path, content):
    write_video(tmp_path / "whole.mp4", numbered_frames(60))
    for name in ("list.mp4", "list.ffconcat", "list.m3u8", "list.sdp"):
        (tmp_path / name).write_text(content)
        with pytest.raises(UserError, match="not a video, or a truncated one"):
            VideoReader(tmp_path / name)


def test_no_network_connection_is_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(1)
        url = f"http:127.0.0.1:{server.getsockname()[1]}"
        Path(url).write_text(f"#EXTM3U\n#EXTINF:2,\nhttp://{url[5:]}/a.ts\n#EXT-X-ENDLIST\n")
        with pytest.raises(UserError):
            VideoReader(url)
        with pytest.raises(TimeoutError):
            server.accept()


@pytest.mark.parametrize("suffix", ["jpg", "png", "avif"])
def test_a_photo_is_named_as_such(tmp_path, suffix):
    pixels, path = np.zeros((64, 64, 3), np.uint8), tmp_path / "holiday.mp4"
    Image.fromarray(pixels).save(tmp_path / f"holiday.{suffix}")
    (tmp_path / f"holiday.{suffix}").rename(path)
    with pytest.raises(UserError, match=r"holiday.mp4: is a picture, not a video$"):
        VideoReader(path)


@pytest.mark.parametrize("name", ["talk.mp3", "talk.wav", "talk.m4a", "talk.mp4", "covered.mp4"])
def test_a_sound_file_is_named_as_such(tmp_path, name):
    cover = np.zeros((64, 64, 3), np.uint8) if name == "covered.mp4" else None
    with pytest.raises(UserError, match=rf"{name}: is a sound file, not a video"):
        VideoReader(write_sound(tmp_path / name, cover))


def test_pipes_and_devices_are_refused_by_their_kind(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    for path in (tmp_path / "pipe.mp4", Path("/dev/zero")):
        with pytest.raises(UserError, match="is a pipe, socket or device, not a file"):
            VideoReader(path)
    assert threading.active_count() < 50  # nothing waits for the pipe


def write_packets(path: Path, times: list[int], unit: Fraction, rate: Fraction) -> Path:
    """Writes one tiny frame over and over, shown at these times in `unit`."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=rate)
        stream.height, stream.width, stream.pix_fmt = 16, 16, "yuvj420p"
        image = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")
        content = next(bytes(p) for p in [*stream.encode(image), *stream.encode()] if p.size)
        for at in times:
            packet = av.Packet(content)
            packet.stream, packet.time_base = stream, unit
            packet.pts = packet.dts = at
            packet.is_keyframe = True
            container.mux(packet)
    return path


def test_times_days_apart_are_refused_without_making_room_for_them(tmp_path):
    month_s = 30 * 24 * 3600
    path = write_packets(tmp_path / "a.mkv", [0, month_s], Fraction(1), Fraction(1))
    assert read_frame_times(path).duration_s > month_s
    start = time.monotonic()
    with pytest.raises(UserError, match=r"a\.mkv: states that its 2 frames, \d+ bytes, last 25920"):
        VideoReader(path)
    assert time.monotonic() - start < 2


def test_a_small_file_of_days_is_refused(tmp_path):
    rate = Fraction(1, 2000)
    path = write_packets(tmp_path / "a.avi", list(range(300)), 1 / rate, rate)
    assert path.stat().st_size < 400_000
    with pytest.raises(
        UserError, match=r"a\.avi: states that its 300 frames, \d+ bytes, last 6000"
    ):
        read_video(path)


def test_a_slide_show_is_accepted(tmp_path):
    times_s = [0.0, 30.0, 45.0, 120.0]
    path = write_video(tmp_path / "slides.mp4", numbered_frames(4), times_s=times_s)
    assert VideoReader(path).num_frames >= 1200


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mkv", "libx264"), ("a.webm", "libvpx"), ("a.avi", "mpeg4")]
)
def test_missing_frames_of_a_cut_file_are_counted_as_damage(tmp_path, name, codec):
    whole = write_video(tmp_path / name, numbered_frames(100), codec=codec)
    reader = VideoReader(whole)
    assert (len(list(reader)), reader.damaged) == (33, 0)
    content = whole.read_bytes()
    (tmp_path / f"cut_{name}").write_bytes(content[: len(content) // 2])
    reader = VideoReader(tmp_path / f"cut_{name}")
    assert len(list(reader)) == reader.num_frames < 33
    lacking = 100 - reader.source_frames
    assert lacking > 20
    assert lacking - 1 <= reader.damaged <= lacking + 1


def test_a_cut_transport_stream_gives_what_is_left(tmp_path):
    whole = write_video(tmp_path / "a.ts", numbered_frames(100))
    content = whole.read_bytes()
    (tmp_path / "cut.ts").write_bytes(content[: len(content) // 2])
    reader = VideoReader(tmp_path / "cut.ts")
    assert len(list(reader)) == reader.num_frames < 33
