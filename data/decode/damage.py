"""Damage in a video: its packets and frames, and files that are cut or cannot be read whole."""

import struct
from collections import deque
from pathlib import Path

import av

_NEAR = 4  # packets: a frame is marked late, as FFmpeg looks for its end in the next one

# MPEG transport streams.
_SYNC = 0x47
# (bytes of a packet, offset of its sync byte): plain, Blu-ray (m2ts), with parity.
_LAYOUTS = ((188, 0), (192, 4), (204, 0))


class DamageCounter:
    """Decodes packets and counts the damaged ones; a packet and its frames count as one.

    Attributes:
      count: number of damaged packets and frames.
    """

    def __init__(self, count: int = 0):
        """Begins at `count`."""
        self.count = count
        # Times of damaged packets. Their frames follow within far fewer than 64 packets.
        self._packets: deque[int | None] = deque(maxlen=64)
        self._since_marked = _NEAR  # packets since the last one that was marked and decoded

    def decode(self, packet: av.Packet) -> list[av.VideoFrame] | None:
        """Returns the frames of a packet, or None if it cannot be decoded."""
        self._since_marked += 1
        if packet.is_corrupt:
            self.count += 1
            self._packets.append(packet.pts)
            self._since_marked = 0
        try:
            return packet.decode()
        except av.FFmpegError:
            self.count += packet.pts not in self._packets
            self._since_marked += _NEAR * packet.is_corrupt
            return None

    def excuse_join(self) -> None:
        """Takes back the mark of a packet just before two recordings were joined.

        FFmpeg marks it because the packets' counter starts again, though nothing is missing.
        """
        if self._since_marked < _NEAR:
            self.count -= 1
            self._packets.pop()
            self._since_marked = _NEAR

    def is_undamaged(self, frame: av.VideoFrame) -> bool:
        """Returns whether a frame is undamaged."""
        if frame.is_corrupt:
            self.count += frame.pts not in self._packets
        return not frame.is_corrupt


def ends_in_packet(path: Path) -> bool:
    """Returns whether an MPEG transport stream was cut within a packet.

    False for a file that does not begin with packets of a known layout.
    """
    with path.open("rb") as file:
        head = file.read(3 * 204)
    for size, sync in _LAYOUTS:
        if len(head) >= 3 * size and all(head[sync + k * size] == _SYNC for k in range(3)):
            return path.stat().st_size % size != 0
    return False


def ends_in_chunk(path: Path) -> bool:
    """Returns whether an AVI file is shorter than its last RIFF chunk says."""
    size, position = path.stat().st_size, 0
    with path.open("rb") as file:
        while len(head := file.read(8)) == 8 and head.startswith(b"RIFF"):
            position += 8 + struct.unpack("<I", head[4:])[0]
            file.seek(position)
    return position > size
