"""Counting damaged packets and frames; a damaged packet and its frames count as one."""

from collections import deque

import av


class DamageCounter:
    """Decodes packets and counts the damaged ones.

    Attributes:
      count: number of damaged packets and frames.
    """

    def __init__(self, count: int = 0):
        """Begins at `count`."""
        self.count = count
        # Times of damaged packets. Their frames follow within far fewer than 64 packets.
        self._packets: deque[int | None] = deque(maxlen=64)

    def decode(self, packet: av.Packet) -> list[av.VideoFrame] | None:
        """Returns the frames of a packet, or None if it cannot be decoded."""
        if packet.is_corrupt:
            self.count += 1
            self._packets.append(packet.pts)
        try:
            return packet.decode()
        except av.FFmpegError:
            self.count += packet.pts not in self._packets
            return None

    def is_whole(self, frame: av.VideoFrame) -> bool:
        """Returns whether a frame is undamaged."""
        if frame.is_corrupt:
            self.count += frame.pts not in self._packets
        return not frame.is_corrupt
