"""MPEG transport streams: whether a file ends within a packet."""

from pathlib import Path

_SYNC = 0x47
# (bytes of a packet, offset of its sync byte): plain, Blu-ray (m2ts), with parity.
_LAYOUTS = ((188, 0), (192, 4), (204, 0))


def ends_in_packet(path: Path) -> bool:
    """Returns whether a transport stream was cut within a packet.

    False for a file that does not begin with packets of a known layout.
    """
    with path.open("rb") as file:
        head = file.read(3 * 204)
    for size, sync in _LAYOUTS:
        if len(head) >= 3 * size and all(head[sync + k * size] == _SYNC for k in range(3)):
            return path.stat().st_size % size != 0
    return False
