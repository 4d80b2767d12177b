"""TensorBoard's event files of a run, read back."""

from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf
from tensorflow.core.util.event_pb2 import Event


def read_events(workdir: Path) -> Iterator[Event]:
    """Yields the events of all files of a run, in the order of their creation."""
    paths = [str(path) for path in sorted(workdir.glob("events.*"))]
    for record in tf.data.TFRecordDataset(paths).as_numpy_iterator():
        yield Event.FromString(record)
