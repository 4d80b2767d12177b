"""How much of a video is damaged: packets and frames, a damaged packet and its frames once."""

from collections import deque

import av


class DamageCounter:
    """Decodes packets and counts the damage found.

    Attributes:
      count: damaged packets and frames.
    """

    def __init__(self, count: int = 0):
        """Begins at a count."""
        self.count = count
        # Damaged packets, whose frames may be whole; a decoder holds back far fewer.
        self._packets: deque[int | None] = deque(maxlen=64)

    def decode(self, packet: av.Packet) -> list[av.VideoFrame] | None:
        """Returns a packet's frames, None if it cannot be decoded."""
        if packet.is_corrupt:
            self.count += 1
            self._packets.append(packet.pts)
        try:
            return packet.decode()
        except av.FFmpegError:
            self.count += packet.pts not in self._packets
            return None

    def is_whole(self, frame: av.VideoFrame) -> bool:
        """Returns whether a frame has come whole."""
        if frame.is_corrupt:
            self.count += frame.pts not in self._packets
        return not frame.is_corrupt
