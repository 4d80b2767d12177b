"""Frames come back from their byte strings, by either decoder, as they went in."""

import numpy as np
import pytest
import tensorflow as tf

from afsd_jax.data.decode.resize import resize
from afsd_jax.data.storage import frame_codec, schema
from afsd_jax.errors import UserError


def smooth_frames(count: int, height: int, width: int, channels: int) -> np.ndarray:
    rng = np.random.default_rng(count)
    coarse = rng.integers(0, 256, (count, channels, 5, 6), dtype=np.uint8)
    planes = [[resize(plane, (height, width)) for plane in frame] for frame in coarse]
    return np.array(planes).transpose(0, 2, 3, 1)


@pytest.mark.parametrize("channels", [3, 2])
@pytest.mark.parametrize("name", frame_codec.ENCODINGS)
def test_frames_survive_encoding(name, channels):
    frames = smooth_frames(7, 50, 70, channels)
    encoded = [frame_codec.encode(frame, name) for frame in frames]
    decoded = np.stack([frame_codec.decode(code, name, 50, 70, channels) for code in encoded])
    if name == "jpeg":
        assert np.abs(decoded.astype(int) - frames).mean() < 3
    else:
        np.testing.assert_array_equal(decoded, frames)
    in_graph = tf.function(lambda codes: frame_codec.decode_tf(codes, name, 50, 70, channels))
    np.testing.assert_array_equal(in_graph(tf.constant(encoded)), decoded)


@pytest.mark.parametrize("channels", [3, 2])
@pytest.mark.parametrize("name", frame_codec.ENCODINGS)
def test_a_crop_is_that_part_of_the_whole_frame(name, channels):
    height, width, size = 34, 50, 16
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (19, height, width, channels), dtype=np.uint8)
    encoded = [frame_codec.encode(frame, name) for frame in frames]
    whole = np.stack([frame_codec.decode(code, name, height, width, channels) for code in encoded])

    @tf.function
    def cropped(y, x):
        crop = (y, x, size, size)
        return frame_codec.decode_tf(tf.constant(encoded), name, height, width, channels, crop)

    for y in (0, 1, 7, 16, height - size):
        for x in (0, 1, 7, 8, 15, 16, 17, 32, 33, width - size):
            expected = whole[:, y : y + size, x : x + size]
            np.testing.assert_array_equal(cropped(tf.constant(y), tf.constant(x)), expected)


def test_no_frames_decode_to_no_frames():
    for name in frame_codec.ENCODINGS:
        assert frame_codec.decode_tf(tf.zeros([0], tf.string), name, 5, 6, 2).shape == (0, 5, 6, 2)


@pytest.mark.parametrize(
    "frame",
    [np.zeros((4, 4, 3)), np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8)],
    ids=["float", "no channels", "four channels"],
)
def test_wrong_frames_are_refused(frame):
    with pytest.raises(UserError, match="not uint8"):
        frame_codec.encode(frame, "jpeg")


def test_an_unknown_encoding_is_refused_by_name():
    with pytest.raises(UserError, match="'gif': must be one of jpeg, png, raw"):
        frame_codec.encode(np.zeros((4, 4, 3), np.uint8), "gif")


def test_an_example_keeps_every_field_exactly():
    features = schema.features(["jump", "run"])
    example = {
        "name": "video_1",
        "fps": 1 / 3,
        "duration_s": 7200.123456789,
        "encoding": "raw",
        "height": 1,
        "width": 2,
        "channels": 2,
        "frames": [b"\x00\xff\x01\xfe", b"abcd"],
        "annotations": [
            {"label": "run", "start_s": 0.1, "end_s": 0.7, "start_frame": 1 / 7, "end_frame": 2.2},
            {"label": "jump", "start_s": 5.0, "end_s": 9.1, "start_frame": 15.1, "end_frame": 27.3},
        ],
    }
    read = features.deserialize_example(features.serialize_example(example))
    assert float(read["fps"]) == 1 / 3
    assert float(read["duration_s"]) == 7200.123456789
    assert read["frames"].numpy().tolist() == example["frames"]
    assert read["annotations"]["label"].numpy().tolist() == [1, 0]
    assert read["annotations"]["start_frame"].numpy().tolist() == [1 / 7, 15.1]
    empty = features.deserialize_example(features.serialize_example({**example, "annotations": []}))
    assert empty["annotations"]["start_s"].shape == (0,)


def test_rows_of_features_survive_encoding():
    rows = np.random.default_rng(0).normal(size=(7, 1, 1, 9)).astype(np.float16)
    encoded = [frame_codec.encode(row, frame_codec.ROWS) for row in rows]
    decoded = np.stack([frame_codec.decode(code, frame_codec.ROWS, 1, 1, 9) for code in encoded])
    np.testing.assert_array_equal(decoded, rows)
    in_graph = frame_codec.decode_tf(tf.constant(encoded), frame_codec.ROWS, 1, 1, 9)
    np.testing.assert_array_equal(in_graph, rows)
