"""Rows of features as frames: which row stands for which time, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afsd_jax.data.decode.feature_rows import FeatureRows
from afsd_jax.errors import UserError

FACTS = {"fps": 30, "feat_stride": 4, "num_frames": 16}


def written(folder: Path, rows: np.ndarray, facts: object = FACTS) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "features.json").write_text(json.dumps(facts))
    np.save(folder / "a.npy", rows)
    return folder / "a.npy"


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(1, 50),
    stride=st.integers(1, 16),
    described=st.integers(1, 64),
    rate=st.sampled_from([10.0, 25.0, 29.97]),
)
def test_a_row_stands_for_its_time_within_half_a_stride(
    tmp_path_factory, count, stride, described, rate
):
    rows = np.arange(count, dtype=np.float32)[:, None]
    facts = {"fps": rate, "feat_stride": stride, "num_frames": described}
    source = FeatureRows(written(tmp_path_factory.mktemp("rows"), rows, facts))
    frames = np.stack(list(source))
    assert frames.shape == (source.num_frames, 1, 1, 1)
    assert source.fps == pytest.approx(rate / stride)
    assert source.duration_s == pytest.approx(source.num_frames / source.fps)
    middles = (np.arange(count) * stride + described / 2) / rate
    last = {int(row): place for place, row in enumerate(frames[:, 0, 0, 0])}
    assert sorted(last) == list(range(count))
    for row, place in last.items():
        assert abs((place + 0.5) / source.fps - middles[row]) <= 0.5 / source.fps + 1e-6


def test_the_first_row_stands_for_what_comes_before_it(tmp_path):
    rows = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    frames = np.stack(list(FeatureRows(written(tmp_path, rows))))[:, 0, 0]
    assert frames.dtype == np.float16
    np.testing.assert_array_equal(frames, rows[[0, 0, 0, 1, 2, 3, 4]].astype(np.float16))


@pytest.mark.parametrize(
    ("rows", "facts", "message"),
    [
        (np.zeros((5, 3), np.uint8), FACTS, r"features are float \[rows, channels\], not uint8"),
        (np.zeros(5), FACTS, r"features are float \[rows, channels\], not float64 \[5\]"),
        (np.zeros((0, 3)), FACTS, "has no rows"),
        (np.array([[1.0], [np.nan]]), FACTS, "row 1 has a value that is not finite or above 65504"),
        (np.array([[1e6]]), FACTS, "row 0 has a value that is not finite or above 65504"),
        (np.zeros((5, 3)), FACTS | {"fps": None}, "fps must be a finite number, not None"),
        (np.zeros((5, 3)), FACTS | {"feat_stride": 0}, "feat_stride must be above 0, is 0"),
        (np.zeros((5, 3)), [], "feat_stride must be a finite number"),
    ],
)
def test_what_are_no_features_is_refused_in_one_line(tmp_path, rows, facts, message):
    path = written(tmp_path, rows, facts)
    with pytest.raises(UserError, match=message) as error:
        list(FeatureRows(path))
    assert "\n" not in str(error.value)


def test_without_its_facts_a_file_has_no_rate(tmp_path):
    path = written(tmp_path, np.zeros((5, 3)))
    (tmp_path / "features.json").unlink()
    with pytest.raises(UserError, match=r'features.json: is missing.*"feat_stride": 4'):
        FeatureRows(path)


def test_pickles_are_not_loaded(tmp_path):
    path = written(tmp_path, np.zeros((5, 3)))
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(UserError, match=r"not a complete .npy array"):
        FeatureRows(path)
