"""Which part of a picture a frame shows: crops, and how the part becomes square."""

import io

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from afsd_jax.config import default_config
from afsd_jax.data.decode.frame_geometry import FrameGeometry, fit_picture, place_picture
from afsd_jax.data.decode.pipe_reader import PipeReader
from afsd_jax.data.decode.resize import resize
from afsd_jax.data.decode.video_reader import VideoReader
from afsd_jax.errors import UserError
from afsd_jax.inputs.arrays import open_array
from afsd_jax.types import KEEP_ASPECT
from tests.video_files import write_video

HEIGHT, WIDTH = 40, 80


def ramps(height: int = HEIGHT, width: int = WIDTH, count: int = 6) -> np.ndarray:
    """Frames whose red says the row and whose green the column, in steps that coding keeps."""
    y, x = np.mgrid[:height, :width]
    picture = np.stack([y * 200 // height, x * 200 // width, np.full_like(x, 90)], -1)
    return np.repeat(picture[None], count, 0).astype(np.uint8)


def lossless(path, frames, **options):
    return write_video(path, frames, 10, codec="ffv1", pixels="bgr0", **options)


def read(path, geometry: FrameGeometry, size=(40, 40)) -> np.ndarray:
    return next(iter(VideoReader(path, 10.0, size, geometry=geometry)))


@pytest.mark.parametrize(
    ("crop", "rows", "columns"),
    [
        ("", slice(0, 40), slice(0, 80)),
        ("20,10,40,20", slice(10, 30), slice(20, 60)),
        ("25%,25%,50%,50%", slice(10, 30), slice(20, 60)),
        ("25%,10,40,50%", slice(10, 30), slice(20, 60)),
        ("79,39,1,1", slice(39, 40), slice(79, 80)),
    ],
)
def test_a_crop_is_that_part_of_the_picture_in_pixels_or_percent(tmp_path, crop, rows, columns):
    frames = ramps()
    path = lossless(tmp_path / "a.mkv", frames)
    expected = resize(np.ascontiguousarray(frames[0, rows, columns]), (40, 40))
    np.testing.assert_array_equal(read(path, FrameGeometry(crop)), expected)


def test_crops_are_of_the_upright_picture(tmp_path):
    frames = ramps()
    path = write_video(tmp_path / "a.mp4", frames, 10, "libx264rgb", "rgb24", rotation=90)
    whole = read(path, FrameGeometry(), (WIDTH, HEIGHT)).astype(int)  # 80 high, 40 wide
    assert abs(whole[0].mean(0) - whole[-1].mean(0)).max() > 100  # it is on its side
    part = read(path, FrameGeometry("0,60,40,20"), (20, 40)).astype(int)
    assert abs(part - whole[60:80]).max() <= 2


def test_crops_are_of_the_picture_as_it_is_played(tmp_path):
    """The pixels are twice as wide as high, so the picture is played with 160x40 pixels."""
    frames = ramps()
    path = write_video(
        tmp_path / "a.mp4", frames, 10, "libx264rgb", "rgb24", None, 0, (2, 1), {"qp": "0"}
    )
    reader = VideoReader(path, 10.0, (20, 20), geometry=FrameGeometry("80,10,40,20"))
    expected = resize(np.ascontiguousarray(frames[0, 10:30, 40:60]), (20, 20))
    np.testing.assert_array_equal(next(iter(reader)), expected)
    assert reader.aspect == 2.0
    with pytest.raises(
        UserError, match=r"a\.mp4: the crop 80,10,81,20 lies partly outside .*160x40"
    ):
        read(path, FrameGeometry("80,10,81,20"))
    centre = read(path, FrameGeometry("", "center"), (40, 40))  # 40 rows are 20 columns wide
    np.testing.assert_array_equal(centre, resize(frames[0, :, 30:50], (40, 40)))


def test_a_letterbox_keeps_the_shape_between_bars(tmp_path):
    path = lossless(tmp_path / "a.mkv", ramps())
    frame = read(path, FrameGeometry("", "letterbox"), (80, 80))
    assert not frame[:20].any()
    assert not frame[60:].any()
    np.testing.assert_array_equal(frame[20:60], ramps()[0])
    high = read(path, FrameGeometry("0,0,20,40", "letterbox"), (40, 40))
    np.testing.assert_array_equal(high[:, 10:30], ramps()[0, :, :20])
    assert not high[:, :10].any()
    assert not high[:, 30:].any()


@pytest.mark.parametrize("keep_aspect", KEEP_ASPECT)
def test_files_pipes_and_arrays_give_the_same_frames(tmp_path, keep_aspect):
    config = default_config()
    crop = "10,5%,50,90%"
    config.data.update(crop=crop, keep_aspect=keep_aspect, frame_size=32, crop_size=32)
    path = lossless(tmp_path / "a.mkv", ramps())
    geometry = FrameGeometry(crop, keep_aspect)
    of_file = np.stack(list(VideoReader(path, 10.0, (32, 32), geometry=geometry)))
    piped = PipeReader(io.BytesIO(path.read_bytes()), "pipe", 10.0, (32, 32), geometry)
    np.testing.assert_array_equal(np.stack(list(piped)), of_file)
    array = np.stack([frame for (frame,) in open_array(ramps(), 10.0, [config]).frames])
    np.testing.assert_array_equal(array, of_file)


def test_bars_of_flow_are_without_motion():
    flow = np.full((20, 40, 2), 7, np.uint8)
    placed = place_picture(FrameGeometry("", "letterbox"), (20, 40), (40, 40))
    frame = fit_picture(flow, placed, (40, 40))
    assert np.unique(frame[:10]).tolist() == [128]
    assert np.unique(frame[10:30]).tolist() == [7]


sides, percents = st.integers(1, 3000), st.integers(0, 99)


@given(
    st.tuples(sides, sides),
    st.tuples(percents, percents),
    st.sampled_from(KEEP_ASPECT),
    st.sampled_from([1.0, 16 / 15, 0.5, 2.0, 64.0]),
    st.sampled_from([(112, 112), (96, 160), (1, 1)]),
)
def test_any_picture_fills_a_frame_from_inside_the_picture(shape, corner, keep, pixel_aspect, size):
    x, y = corner
    geometry = FrameGeometry(f"{x}%,{y}%,{100 - x}%,{100 - y}%", keep)
    assume(min(shape[0] * (100 - y), shape[1] * (100 - x)) >= 200)  # else it may have no pixel
    placed = place_picture(geometry, shape, size, pixel_aspect)
    top, left, bottom, right = placed.region
    assert 0 <= top < bottom <= shape[0]
    assert 0 <= left < right <= shape[1]
    for corner_at, length, whole in zip(placed.corner, placed.size, size, strict=True):
        assert corner_at >= 0
        assert 1 <= length <= whole - corner_at
    if keep == "letterbox":
        assert size[0] in placed.size or size[1] in placed.size
    else:
        assert placed.size == size
