"""Thumbnails have the shape of their video's picture, whatever shape a network's frames have."""

import io

import numpy as np
import pytest

from afsd_jax import config
from afsd_jax.data.decode.frame_geometry import FrameGeometry
from afsd_jax.data.decode.pipe_reader import PipeReader
from afsd_jax.data.decode.video_reader import VideoReader
from afsd_jax.inputs.video import open_file
from afsd_jax.report.thumbnails import Thumbnails
from tests.video_files import numbered_frames, write_video


def shown_shape(frames, aspect):
    thumbnails = Thumbnails(None)
    for position, frame in enumerate(frames):
        thumbnails.add(position, frame)
    pictures, _ = thumbnails.shown(10.0, aspect())
    return pictures.shape[1:]


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({}, (112, 168, 3)),
        ({"rotation": 90}, (112, 75, 3)),
        ({"pixel_aspect": (2, 1)}, (112, 336, 3)),
        ({"pixel_aspect": (2, 1), "rotation": 90}, (112, 37, 3)),
    ],
)
def test_a_files_thumbnails_have_the_shape_in_which_it_is_played(tmp_path, options, shape):
    path = write_video(tmp_path / "wide.mp4", numbered_frames(40, 64, 96), rate=10, **options)
    video = open_file(path, [config.default_config()])
    frames = [frame for (frame,) in video.frames]
    assert frames[0].shape == (112, 112, 3)
    assert shown_shape(frames, video.aspect) == shape


def test_a_pipes_thumbnails_have_the_shape_in_which_it_is_played(tmp_path):
    path = write_video(tmp_path / "wide.ts", numbered_frames(40, 64, 96), rate=10)
    reader = PipeReader(io.BytesIO(path.read_bytes()), "pipe")
    assert reader.aspect is None
    assert shown_shape(list(reader), lambda: reader.aspect) == (112, 168, 3)


def test_the_centre_of_a_picture_stays_square(tmp_path):
    path = write_video(tmp_path / "wide.mp4", numbered_frames(20, 64, 96), rate=10)
    reader = VideoReader(path, 10.0, (32, 32), geometry=FrameGeometry(keep_aspect="center"))
    assert shown_shape(list(reader), lambda: reader.aspect) == (112, 112, 3)


def test_thumbnails_of_an_unknown_picture_are_square():
    assert shown_shape(np.zeros((9, 20, 30, 3), np.uint8), lambda: None) == (112, 112, 3)
