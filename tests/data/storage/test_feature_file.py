"""A file of features that is no file is made anew."""

import os

import numpy as np

from afsd_jax.data.storage.feature_file import FeatureFile


def test_a_pipe_in_place_of_features_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "x")
    file = FeatureFile(tmp_path / "x", 4, 3)
    assert not file.is_intact()
    file.write([np.ones((4, 3))])
    assert file.is_intact()
    assert file.read(1, 3).tolist() == [[1.0] * 3] * 2
