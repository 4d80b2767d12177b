"""Concatenated recordings are found in files and pipes, whatever pieces arrive."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afsd_jax.data.decode import recordings
from afsd_jax.data.decode.video_reader import VideoReader
from afsd_jax.errors import UserError
from tests.barcodes import HEIGHT, WIDTH, number_of, write
from tests.clocks import read_pipe, seconds

HEADERS = {
    "Matroska of unknown length": b"\x1a\x45\xdf\xa3\x8b\x42\x82\x88matroska\x18\x53\x80\x67\x01"
    + b"\xff" * 7,
    "WebM": b"\x1a\x45\xdf\xa3\x87\x42\x82\x84webm\x18\x53\x80\x67\xff",
    "FLV": b"FLV\x01\x05\0\0\0\x09\0\0\0\0",
    "GIF": b"GIF89a",
}
ENDS = {"GIF": b"\0;"}


def pieces(size: int, rest: bytes) -> io.BufferedIOBase:
    """Returns what reads as a pipe whose writer writes so many bytes at once."""

    class Pipe(io.BytesIO):
        def read(self, wanted: int | None = -1) -> bytes:
            return super().read(min(size, wanted or size))

    return Pipe(rest)


def recordings_of(pipe: io.BufferedIOBase) -> list[bytes]:
    source, found = recordings.JoinedSource(pipe), []
    while True:
        parts = []
        while part := source.read(50):
            parts.append(part)
        found.append(b"".join(parts))
        if not source.next_recording():
            return found


@pytest.mark.parametrize("name", HEADERS)
@given(
    payloads=st.lists(st.binary(max_size=200) | st.just(b"\x1a\x45\xdf" * 20), max_size=4),
    size=st.integers(1, 300),
)
def test_recordings_are_told_apart(tmp_path_factory, name, payloads, size):
    parts = [HEADERS[name] + bytes(64) + payload for payload in payloads]
    parts = [part.replace(b"\xa3", b"") if HEADERS[name][:1] != b"\x1a" else part for part in parts]
    parts = [part + ENDS.get(name, b"") for part in parts] or [b"no video"]
    whole = b"".join(parts)
    path = tmp_path_factory.mktemp("joined") / "x"
    path.write_bytes(whole)
    assert [whole[start:end] for start, end in recordings.parts_of(path)] == parts
    assert recordings_of(pieces(size, whole)) == parts


def test_what_a_recording_holds_is_no_other_one(tmp_path):
    """A header within the stated length of a file is its content, such as an attachment."""
    inner = write(tmp_path / "inner.mkv", range(30)).read_bytes()
    size = len(inner).to_bytes(7, "big")
    content = b"\x1a\x45\xdf\xa3\x8b\x42\x82\x88matroska\x18\x53\x80\x67\x01" + size + inner
    (tmp_path / "x.mkv").write_bytes(content)
    assert len(recordings.parts_of(tmp_path / "x.mkv")) == 1
    box = (len(inner) + 8).to_bytes(4, "big") + b"mdat" + inner
    head = b"\0\0\0\x10ftypisom\0\0\0\0"
    (tmp_path / "x.mp4").write_bytes((head + box.replace(inner, head + inner[16:])) * 2)
    assert len(recordings.parts_of(tmp_path / "x.mp4")) == 2


def test_a_pipe_gives_what_surely_belongs_to_the_recording_at_once():
    source = recordings.JoinedSource(io.BytesIO(HEADERS["WebM"] + bytes(200)))
    assert len(source.read(1000)) == len(HEADERS["WebM"]) + 200


def test_a_file_that_cannot_be_read_is_one_line():
    with pytest.raises(UserError, match="/proc/self/mem: "):  # even root cannot read its beginning
        VideoReader("/proc/self/mem")


def test_too_many_recordings_are_refused(tmp_path):
    path = tmp_path / "x.flv"
    path.write_bytes(HEADERS["FLV"] * 1002)
    with pytest.raises(UserError, match="more than 1000 recordings"):
        recordings.parts_of(path)


def test_a_broken_second_recording_of_a_pipe_is_damage(tmp_path):
    first = write(tmp_path / "a.mkv", range(60), seconds(0, 60)).read_bytes()
    third = write(tmp_path / "c.mkv", range(60, 120), seconds(0, 60)).read_bytes()
    path = tmp_path / "x.mkv"
    path.write_bytes(first + HEADERS["WebM"] + bytes(500) + third)
    found, reader = read_pipe(path)
    assert found == [*range(2, 60, 3), *range(62, 120, 3)]
    assert reader.damaged == 1


def test_a_name_that_looks_like_an_address_is_a_name(tmp_path):
    parts = [write(tmp_path / f"{k}.mkv", range(30 * k, 30 * k + 30)) for k in range(3)]
    path = tmp_path / "subfile,,start,0,end,9,,:é b.mkv"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    reader = VideoReader(path, 10, (HEIGHT, WIDTH))
    assert [number_of(image) for image in reader] == list(range(2, 90, 3))
