"""Every container with every fault of its clock gives the same right pictures in file and pipe."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import pytest

from tests.barcodes import HEIGHT, WIDTH, picture, write
from tests.clocks import check, seconds

MP4 = {"movflags": "faststart"}  # else a pipe cannot be read
FRAGMENTED = {"movflags": "frag_keyframe+empty_moov+delay_moov"}


class Container(NamedTuple):
    suffix: str
    codec: str = "libx264"
    container_options: dict[str, str] | None = None


CONTAINERS = {
    "ts": Container("ts"),
    "mpg": Container("mpg", "mpeg2video"),
    "vob": Container("vob", "mpeg2video"),
    "mkv": Container("mkv"),
    "webm": Container("webm", "libvpx"),
    "mp4": Container("mp4", container_options=MP4),
    "fragmented mp4": Container("mp4", container_options=FRAGMENTED),
    "avi": Container("avi", "mpeg4"),
    "avi with B-frames": Container("avi"),
    "flv": Container("flv"),
    "gif": Container("gif", "gif"),
}

# Times of the pictures of each recording of a file, seconds, and the pictures' sound.
RATE = 25
STEADY = seconds(0, 50, RATE)
VARIABLE = [k / RATE for k in (*range(20), *range(20, 60, 2), *range(60, 150, 5), *range(150, 155))]
FAULTS: dict[str, tuple[list[list[float]], tuple[float, float] | None]] = {
    "steady": ([STEADY], (0, 2)),
    "the clock starts again": ([STEADY, STEADY, STEADY], None),
    "the clock starts again, with sound": ([STEADY, STEADY], (0, 2)),
    "a late picture": ([seconds(1, 50, RATE)], (0, 3)),
    "a gap": ([[*STEADY, *seconds(8, 50, RATE)]], None),
    "a variable rate": ([VARIABLE], None),
    "a first time stamp of an hour": ([seconds(3600, 50, RATE)], (3600, 3602)),
}
# What a container cannot state, at least as FFmpeg writes it: AVI and GIF have no first time stamp,
# and MPEG program streams have one time for all pictures in a pack of 2048 bytes.
LEFT_OUT = {
    *((name, "a late picture") for name in ("avi", "avi with B-frames")),
    *((name, fault) for name in ("mpg", "vob") for fault in ("a gap", "a variable rate")),
    ("gif", "the clock starts again, with sound"),
    ("gif", "a late picture"),
    ("gif", "a first time stamp of an hour"),
    ("avi", "a first time stamp of an hour"),
    ("avi with B-frames", "a first time stamp of an hour"),
}


def write_gif(path: Path, shown: Sequence[int], times_s: Sequence[float]) -> None:
    """GIF counts in hundredths of a second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("gif", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "gray"
        stream.codec_context.time_base = Fraction(1, 100)
        for number, time_s in zip(shown, times_s, strict=True):
            frame = av.VideoFrame.from_ndarray(picture(number), format="rgb24").reformat(
                format="gray"
            )
            frame.pts, frame.time_base = round(time_s * 100), Fraction(1, 100)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", CONTAINERS)
def test_each_picture_is_shown_when_it_is_due(tmp_path, name, fault):
    if (name, fault) in LEFT_OUT:
        pytest.skip("the container cannot hold this")
    container = CONTAINERS[name]
    parts, sound_s = FAULTS[fault]
    content, times_s, end_s = b"", [], 0.0
    for part in parts:
        path = tmp_path / f"{len(times_s)}.{container.suffix}"
        shown = range(len(times_s), len(times_s) + len(part))
        if container.codec == "gif":
            write_gif(path, shown, part)
        else:
            write(
                path,
                shown,
                part,
                RATE,
                codec=container.codec,
                unit=Fraction(1, RATE),
                sound_s=sound_s,
                options={"g": "15"},
                container_options=container.container_options,
            )
        content += path.read_bytes()
        begin_s = 0.0 if part[0] >= 3600 else part[0]
        times_s += [end_s + begin_s + time_s - part[0] for time_s in part]
        end_s = times_s[-1] + (part[-1] - part[-2])
    joined = tmp_path / f"joined.{container.suffix}"
    joined.write_bytes(content)
    check(joined, range(len(times_s)), times_s, end_s, slack=1)


def test_a_packed_bitstream_in_avi(tmp_path):
    """DivX puts a B-frame into the packet before its own, which is then nearly empty."""
    options = {"bf": "1", "g": "300", "b_strategy": "0"}
    plain = write(tmp_path / "plain.avi", range(60), codec="mpeg4", options=options)
    begin = b"\0\0\1\xb6"  # of a picture; its kind follows, in two bits: I, P or B
    with av.open(str(plain)) as source, av.open(str(tmp_path / "packed.avi"), "w") as packed:
        pictures = [bytes(packet) for packet in source.demux(video=0) if packet.size]
        first = pictures[0].index(begin)
        mark = b"\0\0\1\xb2DivX503b1393p"
        contents = [pictures[0][:first] + mark + pictures[0][first:]]
        for one in pictures[1:]:
            if one[one.index(begin) + 4] >> 6 == 2:
                contents[-1] += one
                contents.append(begin + b"\x51\0\0")  # a picture that is not coded
            else:
                contents.append(one)
        stream = packed.add_stream_from_template(source.streams.video[0])
        for number, content in enumerate(contents):
            packet = av.Packet(content)
            packet.pts = packet.dts = number
            packet.time_base, packet.stream = Fraction(1, 30), stream
            packet.is_keyframe = number == 0
            packed.mux(packet)
    assert len(contents) == 60
    check(tmp_path / "packed.avi", range(60), seconds(0, 60), 2)
