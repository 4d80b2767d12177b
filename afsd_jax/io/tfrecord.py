"""Records of TFRecord files, in which data sets and TensorBoard's events are kept."""

import struct

import google_crc32c


def masked(checksum: int) -> bytes:
    """Returns a masked CRC-32C, as TFRecord stores it."""
    rotated = (checksum >> 15 | checksum << 17) & 0xFFFFFFFF
    return struct.pack("<I", (rotated + 0xA282EAD8) & 0xFFFFFFFF)


def record(content: bytes) -> bytes:
    """Returns a whole record: the length of its content, the content, and a checksum of each."""
    length = struct.pack("<Q", len(content))
    return b"".join(part + masked(google_crc32c.value(part)) for part in (length, content))
