"""What is streamed to a shard is what TensorFlow reads back."""

import math
import os
import struct
from pathlib import Path

import google_crc32c
import numpy as np
import pytest
import tensorflow as tf

from afsd_jax.data.storage import prepared_video, schema, shards
from afsd_jax.errors import UserError
from afsd_jax.io.tfrecord import masked

EXAMPLE = {
    "name": "video",
    "fps": 10.0,
    "duration_s": 12.3,
    "encoding": "raw",
    "height": 4,
    "width": 5,
    "channels": 3,
    "annotations": [
        {"label": 1, "start_s": 0.1, "end_s": 0.7, "start_frame": 1.0, "end_frame": 7.0}
    ],
}


@pytest.mark.parametrize("sizes", [[], [0], [60], [1, 127, 128, 16383, 16384, 70000] * 3])
def test_a_streamed_example_is_the_one_serialised_whole(tmp_path, sizes):
    rng = np.random.default_rng(0)
    frames = [rng.bytes(size) for size in sizes]
    features = schema.features(["a", "b"])
    path = tmp_path / "deep" / "shard.tfrecord"
    size = shards.write_example(path, features, EXAMPLE, iter(frames))
    assert size == path.stat().st_size
    (record,) = list(tf.data.TFRecordDataset([str(path)]))  # checks both checksums
    whole = features.serialize_example({**EXAMPLE, "frames": frames})
    streamed, expected = tf.train.Example(), tf.train.Example()
    streamed.ParseFromString(record.numpy())
    expected.ParseFromString(whole)
    assert streamed == expected
    assert features.deserialize_example(record)["frames"].numpy().tolist() == frames
    ((fields, positions),) = shards.read_index(path, features)
    assert list(shards.read_frames(path, positions, range(len(frames)))) == frames
    assert fields["name"] == b"video"
    assert (fields["height"], fields["width"], fields["channels"]) == (4, 5, 3)


def test_a_cut_or_missing_shard_is_refused_by_name(tmp_path):
    path, features = tmp_path / "shard.tfrecord", schema.features(["a", "b"])
    refused = pytest.raises(UserError, match=r"shard.tfrecord: the shard is missing or damaged")
    with refused:
        shards.read_index(path, features)
    shards.write_example(path, features, EXAMPLE, [b"x" * 100] * 3)
    ((_, positions),) = shards.read_index(path, features)
    path.write_bytes(path.read_bytes()[:-150])
    with refused:
        shards.read_index(path, features)
    with refused:
        list(shards.read_frames(path, positions, [0]))


def test_a_changed_bit_is_refused_by_name(tmp_path):
    path, features = tmp_path / "shard.tfrecord", schema.features(["a", "b"])
    shards.write_example(path, features, EXAMPLE, [b"x" * 100] * 3)
    ((_, positions),) = shards.read_index(path, features)
    content, place = path.read_bytes(), int(positions[1]) + 50
    path.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
    with pytest.raises(UserError, match=r"shard.tfrecord: the shard is missing or damaged"):
        list(shards.read_frames(path, positions, [0]))
    path.write_bytes(content)
    assert list(shards.read_frames(path, positions, [0])) == [b"x" * 100]


def test_a_failure_midway_leaves_no_file(tmp_path):
    def failing():
        yield b"frame"
        raise UserError("damaged")

    with pytest.raises(UserError, match="damaged"):
        shards.write_example(
            tmp_path / "a.tfrecord", schema.features(["a", "b"]), EXAMPLE, failing()
        )
    assert list(tmp_path.iterdir()) == []


def test_an_example_too_large_for_readers_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "MAX_BYTES", 1000)
    with pytest.raises(UserError, match=r"video: its frames take .*; choose the encoding jpeg"):
        shards.write_example(
            tmp_path / "a.tfrecord", schema.features(["a", "b"]), EXAMPLE, [b"x" * 1000]
        )
    assert list(tmp_path.iterdir()) == []


def test_too_many_raw_frames_are_refused_before_they_are_decoded():
    fit = shards.MAX_BYTES // (112 * 112 * 3 + 4)  # each has a tag of one byte, a size of three
    shards.check_frames("video", fit, 112 * 112 * 3)
    with pytest.raises(UserError, match=r"video: its frames take at least 2,1.*; choose .* size"):
        shards.check_frames("video", fit + 1, 112 * 112 * 3)


SHAPE = (600, 600, 3)
COUNT = 1100  # of such frames take 1.2 GB


def field(number: int, size: int) -> bytes:
    """The tag of a field, and its size in groups of seven bits, the lowest first."""
    groups = [size >> shift & 127 for shift in range(0, max(size.bit_length(), 1), 7)]
    return bytes([8 * number + 2, *(group | 128 for group in groups[:-1]), groups[-1]])


def write_sparse(path: Path, names: list[str]) -> None:
    """A shard of videos whose frames are black but for their last bytes: their video and number."""
    size = math.prod(SHAPE)
    key = field(1, 6) + b"frames"
    inner = COUNT * (len(field(1, size)) + size)
    header = b""
    for number, prefix in ((1, b""), (2, key), (1, b""), (1, b"")):
        header = prefix + field(number, inner + len(header)) + header
    example = {**EXAMPLE, "height": SHAPE[0], "width": SHAPE[1], "frames": []}
    with path.open("wb") as file:
        for name in names:
            start = schema.features(["a", "b"]).serialize_example({**example, "name": name})
            start += header
            length = struct.pack("<Q", len(start) + inner)
            file.write(length + masked(google_crc32c.value(length)) + start)
            checksum, black = google_crc32c.value(start), bytes(size - 2)
            for i in range(COUNT):
                last = struct.pack(">BB", names.index(name), i % 256)
                file.write(field(1, size))
                file.seek(size - 2, os.SEEK_CUR)
                file.write(last)
                for part in (field(1, size), black, last):
                    checksum = google_crc32c.extend(checksum, part)
            file.write(masked(checksum))


def test_frames_beyond_2_gib_of_a_shard_are_found_and_read(tmp_path):
    path = tmp_path / "shard.tfrecord"
    write_sparse(path, ["first", "second"])
    videos = prepared_video.read_shard(path, schema.features(["a", "b"]))
    assert [(video.name, video.num_frames) for video in videos] == [
        ("first", COUNT),
        ("second", COUNT),
    ]
    begin, middle, end = videos[1].positions[-3:].tolist()
    assert begin > 2**31
    assert end == path.stat().st_size - 4
    numbers = [0, 500, COUNT - 2, COUNT - 1]
    for number, frame in zip(numbers, prepared_video.read_frames(videos[1], numbers), strict=True):
        assert frame.shape == SHAPE
        assert frame[-1, -1].tolist() == [0, 1, number % 256]
    reader = prepared_video.FrameReader(videos)
    last = [[0, 1, (COUNT - i) % 256] for i in (2, 1)]
    clip = reader(1, tf.constant(COUNT - 2, tf.int64), tf.constant(COUNT, tf.int64)).numpy()
    assert clip.shape == (2, *SHAPE)
    assert clip[:, -1, -1].tolist() == last
    frames = shards.read_frames_tf(
        tf.constant(str(path)), tf.constant(path.stat().st_size), tf.constant(begin), end
    )
    assert [list(frame[-3:]) for frame in frames.numpy()] == last
    assert middle - begin == len(frames.numpy()[0]) + 4
