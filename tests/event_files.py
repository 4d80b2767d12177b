"""TensorBoard's event files of a run, read back."""

from collections.abc import Iterator
from pathlib import Path

from tensorboardX.proto import event_pb2


def read_events(workdir: Path) -> Iterator[event_pb2.Event]:
    """Yields the events of all files of a run, in the order of their creation."""
    for path in sorted(workdir.glob("events.*")):
        content = path.read_bytes()
        while content:
            size = int.from_bytes(content[:8], "little")
            yield event_pb2.Event.FromString(content[12 : 12 + size])
            content = content[16 + size :]
