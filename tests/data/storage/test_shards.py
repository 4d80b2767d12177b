"""What is streamed to a shard is what TensorFlow reads back."""

import numpy as np
import pytest
import tensorflow as tf

from afsd_jax.data.storage import schema, shards
from afsd_jax.errors import UserError

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
    fields, read = shards.read_example(path)
    assert list(read) == frames
    assert fields["name"] == b"video"
    assert (fields["height"], fields["width"], fields["channels"]) == (4, 5, 3)


def test_a_cut_or_missing_shard_is_refused_by_name(tmp_path):
    path = tmp_path / "shard.tfrecord"
    with pytest.raises(UserError, match=r"shard.tfrecord: the shard is missing or damaged"):
        shards.read_example(path)
    shards.write_example(path, schema.features(["a", "b"]), EXAMPLE, [b"x" * 100] * 3)
    path.write_bytes(path.read_bytes()[:-150])
    with pytest.raises(UserError, match=r"shard.tfrecord: the shard is missing or damaged"):
        list(shards.read_example(path)[1])


def test_a_failure_midway_leaves_no_file(tmp_path):
    def failing():
        yield b"frame"
        raise UserError("damaged")

    with pytest.raises(UserError, match="damaged"):
        shards.write_example(
            tmp_path / "a.tfrecord", schema.features(["a", "b"]), EXAMPLE, failing()
        )
    assert list(tmp_path.iterdir()) == []


def test_what_no_reader_could_take_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "MAX_BYTES", 1000)
    with pytest.raises(UserError, match=r"video: its frames take .*; choose the encoding jpeg"):
        shards.write_example(
            tmp_path / "a.tfrecord", schema.features(["a", "b"]), EXAMPLE, [b"x" * 1000]
        )
    assert list(tmp_path.iterdir()) == []
