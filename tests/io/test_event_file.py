"""TensorBoard's file of events has TensorFlow's format."""

import numpy as np
import pytest
from tensorflow.core.util.event_pb2 import SessionLog

from afsd_jax.io.event_file import EventFile
from tests.event_files import read_events

NUMBERS = [0.0, -1.5, 1e-40, 3.4e38, 1e39, -1e300, float("inf"), float("nan"), 7]


def test_tensorflow_reads_what_was_written(tmp_path):
    events = EventFile(tmp_path, 299)
    for step, number in enumerate(NUMBERS):
        events.write(10**step, {"loss/größe": number, "group": {"a" * 200: number, "text": "no"}})
    version, start, *written = read_events(tmp_path)
    assert version.file_version == "brain.Event:2"
    assert (start.step, start.session_log.status) == (300, SessionLog.START)
    assert all(event.wall_time == pytest.approx(version.wall_time, abs=60) for event in written)
    assert [event.step for event in written] == [10**n for n in range(len(NUMBERS)) for _ in "ab"]
    found = [(value.tag, value.simple_value) for event in written for value in event.summary.value]
    with np.errstate(over="ignore"):
        expected = [
            (tag, float(np.float32(number)))
            for number in NUMBERS
            for tag in ("loss/größe", "group/" + "a" * 200)
        ]
    np.testing.assert_equal(found, expected)
