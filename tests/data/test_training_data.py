"""Batches are a function of the seed and the step, and show what the prepared data set holds."""

import itertools
import subprocess
import sys
from pathlib import Path

import google_crc32c
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from afsd_jax.config import default_config
from afsd_jax.data.clips.consistency import consistency_clip
from afsd_jax.data.clips.training_clips import boundary_targets, video_clips
from afsd_jax.data.datasets import read_report
from afsd_jax.data.storage import frame_codec, prepared_folder, prepared_video, schema
from afsd_jax.data.training_data import TrainingData
from afsd_jax.errors import UserError
from afsd_jax.inputs.prepared import PreparedSplit
from afsd_jax.io.tfrecord import masked
from tests.prepared_videos import FPS, NAMES, SIZE, VIDEOS, pixels, prepare

CROP, T = 16, 32


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory) -> Path:
    return prepare(tmp_path_factory.mktemp("raw"))


def configuration(data_dir: Path, **changes):
    config = default_config()
    config.data.update(
        dataset="videos",
        data_dir=str(data_dir),
        frame_size=SIZE,
        crop_size=CROP,
        clip_length=T,
        clip_stride=7,
        max_actions=4,
    )
    config.train.batch_size = 2
    for key, value in changes.items():
        config.update_from_flattened_dict({key.replace("__", "."): value})
    return config


def rows(batches, count: int) -> list[dict[str, np.ndarray]]:
    """Splits `count` batches into single clips."""
    return [
        {key: value[i] for key, value in batch.items()}
        for batch in itertools.islice(batches, count)
        for i in range(len(batch["labels"]))
    ]


def place(frames: np.ndarray) -> tuple[str, int, int, int, bool]:
    """Reads (video, offset, y, x, mirrored) off the pixels of a clip."""
    t, y, x = frames[0, 0, 0].astype(int)
    mirrored = bool(frames[0, 0, -1, 2] < x)
    x = int(frames[0, 0, -1, 2]) if mirrored else x
    return NAMES[t // 100 + y // 32 * 2], int(t % 100), int(y % 32), int(x), mirrored


def all_clips(config) -> dict[tuple[str, int], tuple]:
    """The clips of all videos by video and offset."""
    labels = ["jump", "run"]
    clips = {}
    for name, (count, actions) in VIDEOS.items():
        segments = np.array([action[1:] for action in actions])
        numbers = np.array([labels.index(action[0]) + 1 for action in actions])
        found = video_clips(count, segments, numbers, config.data).clips
        clips.update({(name, clip.offset): clip for clip in found})
    return clips


def assert_equal(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> None:
    assert list(first) == list(second)
    for key, value in first.items():
        assert value.dtype == second[key].dtype
        np.testing.assert_array_equal(value, second[key], err_msg=key)


def test_every_clip_comes_once_per_epoch_with_its_frames_and_annotations(data_dir):
    config = configuration(data_dir, train__batch_size=1)
    data = TrainingData(config)
    assert data.class_names == ["jump", "run"]
    clips = all_clips(config)
    assert data.num_clips == data.steps_per_epoch == len(clips)
    seen = []
    for row in rows(data.batches(), 2 * data.steps_per_epoch):
        name, offset, y, x, mirrored = place(row["frames"])
        seen.append((name, offset))
        clip, count = clips[name, offset], min(T, VIDEOS[name][0] - offset)
        expected = pixels(name)[offset : offset + T, y : y + CROP, x : x + CROP]
        expected = expected[:, :, ::-1] if mirrored else expected
        assert row["num_frames"] == count == len(expected)
        np.testing.assert_array_equal(row["frames"][:count], expected)
        assert not row["frames"][count:].any()
        actions = len(clip.labels)
        np.testing.assert_array_equal(row["segments"][:actions], clip.segments.astype(np.float32))
        np.testing.assert_array_equal(row["labels"][:actions], clip.labels)
        assert not row["labels"][actions:].any()
        assert not row["segments"][actions:].any()
        for key, target in zip(("start", "end"), boundary_targets(clip.segments, T), strict=True):
            np.testing.assert_array_equal(row[f"{key}_target"], target)
    first, second = seen[: len(clips)], seen[len(clips) :]
    assert sorted(first) == sorted(second) == sorted(clips)
    assert first != second


def test_batches_have_the_same_shapes_and_types_whatever_they_hold(data_dir):
    expected = {
        "frames": (np.uint8, (2, T, CROP, CROP, 3)),
        "num_frames": (np.int32, (2,)),
        "segments": (np.float32, (2, 4, 2)),
        "labels": (np.int32, (2, 4)),
        "start_target": (np.uint8, (2, T)),
        "end_target": (np.uint8, (2, T)),
        "consistency_index": (np.int32, (2, T)),
        "consistency_segments": (np.float32, (2, 3, 2)),
        "consistency_mask": (np.bool_, (2,)),
    }
    for batch in itertools.islice(TrainingData(configuration(data_dir)).batches(), 12):
        assert {key: (value.dtype, value.shape) for key, value in batch.items()} == expected


def test_crops_and_mirrors_are_random_and_new_in_every_epoch(data_dir):
    data = TrainingData(configuration(data_dir, train__batch_size=1))
    places = [place(row["frames"]) for row in rows(data.batches(), 12 * data.steps_per_epoch)]
    ys, xs, mirrors = (np.array(values) for values in list(zip(*places, strict=True))[2:])
    assert set(ys) == set(xs) == set(range(SIZE - CROP + 1))
    assert 0.3 < mirrors.mean() < 0.7
    assert len({p for p in places if p[:2] == ("d", 0)}) > 6


@pytest.mark.parametrize("crops", [1, 3, 5])
def test_clips_are_cropped_at_the_centre_and_the_corners_on_request(data_dir, crops):
    data = TrainingData(configuration(data_dir, data__crops=crops))
    last = SIZE - CROP
    every = [(last // 2, last // 2), (0, 0), (0, last), (last, 0), (last, last)]
    found = [place(row["frames"])[2:] for row in rows(data.batches(), 6 * data.steps_per_epoch)]
    assert {(y, x) for y, x, _ in found} == set(every[:crops])
    assert {(y, x, flip) for y, x, flip in found} == {tuple(view) for view in data.views}
    assert len(data.views) == 2 * crops


@pytest.mark.parametrize(("probability", "expected"), [(0.0, {False}), (1.0, {True})])
def test_clips_are_mirrored_with_the_probability_of_the_configuration(
    data_dir, probability, expected
):
    data = TrainingData(configuration(data_dir, data__flip=probability))
    found = rows(data.batches(), data.steps_per_epoch)
    assert {place(row["frames"])[4] for row in found} == expected


def consistency_clips(segments: np.ndarray, cut: int) -> set[tuple[bytes, bytes]]:
    """All that the random choices can lead to: (index, segments) as bytes."""
    found, todo = set(), [()]
    while todo:
        choices, options = todo.pop(), []

        def pick(count: int, choices=choices, options=options) -> int:
            options.append(count)
            return choices[len(options) - 1] if len(options) <= len(choices) else 0

        clip = consistency_clip(segments, T, cut, pick)
        if clip is not None:
            found.add((clip.index.tobytes(), clip.segments.astype(np.float32).tobytes()))
        for i in range(len(choices), len(options)):
            zeros = (0,) * (i - len(choices))
            todo += [(*choices, *zeros, value) for value in range(1, options[i])]
    return found


def test_consistency_clips_are_random_with_the_moved_length_of_their_video(data_dir):
    config = configuration(data_dir, train__batch_size=1)
    data, clips = TrainingData(config), all_clips(config)
    # The shortest actions: a's last one is cut by clips to 12 frames, but its second has 8.5.
    cuts = {"a": 9, "b": 9, "c": 7, "d": 15}
    possible = {key: consistency_clips(clips[key].segments, cuts[key[0]]) for key in clips}
    made = {key: set() for key in clips}
    for row in rows(data.batches(), 8 * data.steps_per_epoch):
        name, offset, *_ = place(row["frames"])
        index, regions = row["consistency_index"], row["consistency_segments"]
        assert row["consistency_mask"] == bool(possible[name, offset])
        if row["consistency_mask"]:
            made[name, offset].add((index.tobytes(), regions.tobytes()))
        else:
            np.testing.assert_array_equal(index, np.arange(T))
            assert not regions.any()
    assert any(made.values())
    for key, chosen in made.items():
        assert chosen <= possible[key]
        assert len(chosen) > 1 or len(possible[key]) <= 2, key


def test_a_batch_is_the_same_whether_training_starts_there_or_earlier(data_dir):
    data = TrainingData(configuration(data_dir))
    steps = data.steps_per_epoch
    reached = list(itertools.islice(data.batches(), 2 * steps + 2))
    for start in (1, steps - 1, steps, 2 * steps + 1):
        again = TrainingData(configuration(data_dir)).batches(start)
        for expected in reached[start:]:
            assert_equal(next(again), expected)


def test_another_seed_gives_other_batches(data_dir):
    first, second = (
        next(TrainingData(configuration(data_dir, seed=seed)).batches()) for seed in (0, 1)
    )
    assert np.any(first["frames"] != second["frames"])


def test_the_parts_of_all_hosts_are_the_batch_of_one_host(data_dir):
    config = configuration(data_dir, train__batch_size=6)
    whole = TrainingData(config)
    shares = [TrainingData(config, i, 3) for i in range(3)]
    assert {share.steps_per_epoch for share in shares} == {whole.steps_per_epoch}
    batches = [share.batches(1) for share in shares]
    for expected in itertools.islice(whole.batches(1), 2 * whole.steps_per_epoch):
        parts = [next(share) for share in batches]
        together = {key: np.concatenate([part[key] for part in parts]) for key in expected}
        assert_equal(together, expected)


def test_a_host_reads_only_its_own_part(tmp_path):
    config = configuration(prepare(tmp_path))
    data = TrainingData(config, 1, 2)
    expected = next(data.batches())
    needed = {place(frames)[0] for frames in expected["frames"]}
    folder = tmp_path / "data/videos/rgb/1.0.0"
    for video in read_report(folder)["videos"]:
        if video["name"] not in needed:
            (folder / video["shard"]).write_bytes(b"")
    assert_equal(next(data.batches()), expected)


@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_frames_are_decoded_to_the_pixels_of_their_encoding(tmp_path, kind):
    data_dir = prepare(tmp_path, encoding=kind)
    config = configuration(data_dir, data__crop_size=SIZE, data__flip=0.0, train__batch_size=1)
    data = TrainingData(config)
    expected = {
        name: np.stack(
            [
                frame_codec.decode(frame_codec.encode(frame, kind), kind, SIZE, SIZE, 3)
                for frame in pixels(name)
            ]
        )
        for name in NAMES
    }
    for row in rows(data.batches(), data.steps_per_epoch):
        count = row["num_frames"]
        assert any(
            np.array_equal(row["frames"][:count], frames[offset : offset + count])
            for frames in expected.values()
            for offset in range(len(frames) - count + 1)
        )


@pytest.mark.parametrize("negate", [False, True])
@pytest.mark.parametrize("kind", ["raw", "png"])
def test_mirrored_flow_changes_the_sign_of_x_only_on_request(tmp_path, negate, kind):
    data_dir = prepare(tmp_path, "flow", encoding=kind)
    config = configuration(
        data_dir, data__stream="flow", data__flip=1.0, data__negate_flipped_flow=negate
    )
    data = TrainingData(config)
    for row in rows(data.batches(), data.steps_per_epoch):
        frames = row["frames"][: row["num_frames"]].astype(int)
        x = 255 - frames[..., 0] if negate else frames[..., 0]
        assert np.all(np.diff(x, axis=2) == -1)
        assert np.all(np.diff(frames[..., 1], axis=0) == 1)


def test_whole_videos_come_centre_cropped(data_dir):
    split = PreparedSplit([configuration(data_dir)], "train")
    assert split.names == NAMES
    first = (SIZE - CROP) // 2
    for name, source in zip(NAMES, split.sources(), strict=True):
        video = source.open()
        assert (source.name, video.name) == (name, name)
        expected = pixels(name)[:, first : first + CROP, first : first + CROP]
        np.testing.assert_array_equal([frame for (frame,) in video.frames], expected)
        assert (video.fps, video.duration_s) == (FPS, len(expected) / FPS)


def test_hosts_share_the_videos(data_dir):
    configs = [configuration(data_dir)]
    shares = [PreparedSplit(configs, "train", None, i, 3) for i in range(3)]
    assert [share.names for share in shares] == [["a", "d"], ["b"], ["c"]]
    read = [[source.name for source in share.sources()] for share in shares]
    assert read == [["a", "d"], ["b"], ["c"]]
    assert list(PreparedSplit(configs, "train", None, 5, 6).sources()) == []


def test_frames_are_found_in_any_tfds_folder_of_the_schema(tmp_path):
    """Several videos a shard, in the order and layout that TFDS chooses itself."""
    features = schema.features(["jump", "run"])
    rng = np.random.default_rng(0)
    examples = [
        {
            "name": f"video {i}",
            "fps": 10 / 3,
            "duration_s": 0.1 + i,
            "encoding": "raw",
            "height": 2,
            "width": 2,
            "channels": 3,
            "frames": [rng.bytes(size) for size in rng.integers(0, 40_000, 9 * i)],
            "annotations": [
                {"label": 1, "start_s": 0.1, "end_s": 0.2, "start_frame": 1 / 3, "end_frame": 2 / 3}
            ]
            * (i % 3),
        }
        for i in range(7)
    ]
    folder = tmp_path / "videos" / "rgb" / "1.0.0"
    folder.mkdir(parents=True)
    for shard, members in enumerate((examples[:3], examples[3:])):
        path = folder / f"videos-train.tfrecord-{shard:05}-of-00002"
        with tf.io.TFRecordWriter(str(path)) as file:
            for example in members:
                file.write(features.serialize_example(example))
    split = tfds.core.SplitInfo(name="train", shard_lengths=[3, 4], num_bytes=0)
    tfds.folder_dataset.write_metadata(data_dir=folder, features=features, split_infos=[split])
    builder = prepared_folder.open_folder(folder.parent)
    found = prepared_video.read_videos(builder, "train")
    assert [video.name for video in found] == [example["name"] for example in examples]
    for video, example in zip(found, examples, strict=True):
        assert (video.fps, video.duration_s) == (example["fps"], example["duration_s"])
        assert (video.encoding, video.shape) == ("raw", (2, 2, 3))
        count = len(example["annotations"])
        assert video.segments.tolist() == [[1 / 3, 2 / 3]] * count
        assert video.labels.tolist() == [2] * count
        content = video.path.read_bytes()
        ends = video.positions[1:].tolist()
        starts = [end - len(frame) for end, frame in zip(ends, example["frames"], strict=True)]
        frames = [content[start:end] for start, end in zip(starts, ends, strict=True)]
        assert frames == example["frames"]
    part = prepared_video.read_videos(builder, "train[2:5]")
    assert [video.name for video in part] == ["video 2", "video 3", "video 4"]


def test_importing_the_package_does_not_import_tensorflow():
    code = "import afsd_jax, afsd_jax.data.clips.geometry, sys; print('tensorflow' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"data__data_dir": "/nowhere"},
            "config.data.data_dir='/nowhere': holds no prepared data set videos/rgb; make it with",
        ),
        ({"data__train_split": "validation"}, r"no split 'validation'; there are train"),
        ({"data__train_split": "train[:0]"}, r"split train\[:0\] has no videos"),
        (
            {"data__frame_size": 38},
            r"frames of 20x20 pixels, but config.data.frame_size=38; set",
        ),
        ({"data__fps": 12.0}, r"a was prepared at 10 frames per second, but config.data.fps=12; "),
        (
            {"data__max_frames": 90},
            r"a was prepared with 100 frames, but config.data.max_frames=90",
        ),
        ({"data__max_actions": 1}, r"a clip of a has 2 actions; set config.data.max_actions \(n"),
        ({"train__batch_size": 500}, r"has \d+ clips, fewer than config.train.batch_size=500"),
        (
            {"train__batch_size": 3},
            "config.train.batch_size=3: must be a multiple of the number of processes, 2",
        ),
    ],
)
def test_a_data_set_that_does_not_fit_is_refused_in_one_line(data_dir, changes, message):
    with pytest.raises(UserError, match=message):
        TrainingData(configuration(data_dir, **changes), 0, 2)


def test_a_folder_below_the_folder_of_data_sets_is_told_where_that_is(data_dir):
    below = str(data_dir / "videos" / "rgb")
    with pytest.raises(UserError, match=rf"no prepared data set videos/rgb; give {data_dir}$"):
        TrainingData(configuration(data_dir, data__data_dir=below))


@pytest.mark.parametrize("keep", [0, 5, 300, -3])
def test_a_damaged_shard_is_named(tmp_path, keep):
    data_dir = prepare(tmp_path)
    shard = sorted((data_dir / "videos/rgb/1.0.0").glob("*.tfrecord*"))[1]
    shard.write_bytes(shard.read_bytes()[:keep])
    with pytest.raises(UserError, match=rf"{shard.name}: the shard is missing or damaged"):
        TrainingData(configuration(data_dir))


def test_a_missing_shard_is_named(tmp_path):
    data_dir = prepare(tmp_path)
    shard = sorted((data_dir / "videos/rgb/1.0.0").glob("*.tfrecord*"))[2]
    shard.unlink()
    with pytest.raises(UserError, match=rf"{shard.name}: the shard is missing or damaged"):
        PreparedSplit([configuration(data_dir)], "train")


@pytest.mark.parametrize("checksums", [False, True], ids=["wrong checksums", "right checksums"])
def test_a_damaged_frame_ends_reading_in_one_line(tmp_path, checksums):
    config = configuration(prepare(tmp_path, encoding="jpeg"))
    data = TrainingData(config)
    for shard in (tmp_path / "data/videos/rgb/1.0.0").glob("*.tfrecord*"):
        content = shard.read_bytes().replace(b"\xff\xd8\xff", b"\0\0\0")
        if checksums:  # of the only record
            content = content[:-4] + masked(google_crc32c.value(content[12:-4]))
        shard.write_bytes(content)
    message = r"frames cannot be read \(" if checksums else r"of-00004: the shard is .*damaged"
    first = next(PreparedSplit([config], "train").sources()).open()
    for reading in (data.batches(), first.frames):
        with pytest.raises(UserError, match=message + ".*; prepare the") as error:
            next(iter(reading))
        assert "\n" not in str(error.value)


def test_a_damaged_video_does_not_cost_the_others(tmp_path):
    config = configuration(prepare(tmp_path, encoding="jpeg"))
    shards = sorted((tmp_path / "data/videos/rgb/1.0.0").glob("*train*.tfrecord*"))
    shards[1].write_bytes(shards[1].read_bytes().replace(b"\xff\xd8\xff", b"\0\0\0"))
    read = {}
    for source in PreparedSplit([config], "train").sources():
        video = source.open()
        try:
            read[video.name] = len(list(video.frames)) == video.num_frames
        except UserError:
            read[video.name] = False
    assert sorted(read.values()) == [False, *[True] * (len(read) - 1)]
    assert len(read) > 2


def test_frames_that_are_not_used_are_skipped(data_dir):
    split = PreparedSplit([configuration(data_dir)], "train")
    firsts = {source.name: next(iter(source.open().frames)) for source in split.sources()}
    for source in split.sources():
        np.testing.assert_array_equal(firsts[source.name], next(iter(source.open().frames)))
