"""Windows cover a video at a stride, always with the last possible one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afsd_jax.data.clips.geometry import centre_crop, cut_windows, window_offsets


@given(num_frames=st.integers(1, 3000), length=st.integers(1, 300), stride=st.integers(1, 300))
def test_windows_start_at_every_stride_and_end_with_the_last_possible_one(
    num_frames, length, stride
):
    possible = range(max(num_frames - length, 0) + 1)
    expected = {o for o in possible if o % stride == 0} | {possible[-1]}
    assert window_offsets(num_frames, length, stride) == sorted(expected)


@given(
    num_frames=st.integers(1, 3000),
    units=st.integers(1, 40),
    stride=st.integers(1, 300),
    unit=st.sampled_from([2, 4, 8]),
)
def test_windows_of_whole_units_cover_the_video_and_begin_within_a_unit(
    num_frames, units, stride, unit
):
    length = units * unit
    found = window_offsets(num_frames, length, stride, unit=unit)
    assert all(offset % unit == 0 for offset in found)
    assert found == sorted(set(found))
    whole = -(-num_frames // unit) * unit
    assert found[-1] == max(whole - length, 0)
    exact = window_offsets(whole, length, stride)
    assert found == sorted({offset // unit * unit for offset in exact})


@pytest.mark.parametrize("num_frames", [1, 255, 256, 257, 10_000])
def test_one_window_starts_at_0_whatever_the_length(num_frames):
    assert window_offsets(num_frames, 256, 128, one_window=True) == [0]


@given(num_frames=st.integers(1, 60), length=st.integers(1, 20), stride=st.integers(1, 20))
def test_a_window_shows_the_videos_frames_and_0_behind_its_end(num_frames, length, stride):
    frames = np.arange(1, num_frames + 1, dtype=np.uint8)[:, None, None, None]
    offsets = window_offsets(num_frames, length, stride)
    windows, counts = cut_windows(frames, offsets, length)
    assert windows.shape == (len(offsets), length, 1, 1, 1)
    for window, count, offset in zip(windows, counts, offsets, strict=True):
        expected = [offset + i + 1 if offset + i < num_frames else 0 for i in range(length)]
        assert window.ravel().tolist() == expected
        assert count == min(length, num_frames - offset)


@pytest.mark.parametrize(
    ("size", "crop", "first"), [(112, 96, 8), (96, 96, 0), (99, 96, 2), (97, 96, 0)]
)
def test_the_centre_crop_is_rounded_half_to_even(size, crop, first):
    assert centre_crop(size, crop) == first
