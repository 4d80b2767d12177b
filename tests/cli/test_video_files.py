"""Videos named on a command line."""

import os
import threading
from pathlib import Path

import pytest

from afsd_jax.cli.video_files import video_files
from afsd_jax.errors import UserError


def test_pipes_and_devices_are_refused_by_their_kind(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    for path in (tmp_path / "pipe.mp4", Path("/dev/zero")):
        with pytest.raises(UserError, match="is a pipe, socket or device, not a file"):
            video_files([path])
    assert threading.active_count() < 50  # no thread waits for the pipe
