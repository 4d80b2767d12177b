"""A file of features that is no file is made anew, and a full disk is one line."""

import os

import numpy as np
import pytest

from afsd_jax.data.storage.feature_file import FeatureFile
from afsd_jax.errors import WriteError
from tests.small_disks import content, enlarge, mounted


def fill(file: FeatureFile) -> None:
    """Writes a thousand rows of a hundred values, in ten parts."""
    with file.writing() as write:
        for part in np.ones((10, 100, 100)):
            write(part)


def test_a_pipe_in_place_of_features_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "x")
    file = FeatureFile(tmp_path / "x", 4, 3)
    assert not file.is_intact()
    with file.writing() as write:
        write(np.ones((4, 3)))
    assert file.is_intact()
    assert file.read(1, 3).tolist() == [[1.0] * 3] * 2


def test_a_full_disk_is_one_line_and_keeps_the_earlier_file(tmp_path):
    with mounted(tmp_path / "disk", "size=64k") as disk:
        with FeatureFile(disk / "x", 10, 100).writing() as write:
            write(np.ones((10, 100)))
        before = content(disk)
        file = FeatureFile(disk / "x", 1000, 100)  # 200 kB
        with pytest.raises(WriteError, match=f"^{disk}/x: cannot be written .No space left on dev"):
            fill(file)
        assert content(disk) == before
        enlarge(disk, "size=1m")
        fill(file)
        assert file.is_intact()
