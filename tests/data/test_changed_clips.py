"""Clips of features that are changed in training: their speed, their background, their number."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from afsd_jax import cli
from afsd_jax.config import check, default_config
from afsd_jax.data.clips.background import MARGIN, is_background
from afsd_jax.data.clips.clip_reader import ClipView
from afsd_jax.data.clips.stored_rows import StoredRows
from afsd_jax.data.training_data import TrainingData
from afsd_jax.errors import UserError
from tests import prepared_videos
from tests.given_features import write_features

T, UNIT = 32, 4
ALL = {"data.speed": 0.5, "data.paste": 0.5, "data.balanced": True}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory) -> Path:
    return prepared_videos.prepare(tmp_path_factory.mktemp("raw"))


@pytest.fixture(scope="module")
def given_dir(tmp_path_factory) -> Path:
    folder = write_features(tmp_path_factory.mktemp("given"))
    assert (
        cli.main(
            [
                *("prepare", "videos", "--stream=features", f"--source={folder / 'features'}"),
                *(f"--annotations={folder / 'labels.csv'}", f"--output={folder / 'data'}"),
                "--workers=1",
            ]
        )
        == 0
    )
    return folder / "data"


def training_data(data_dir: Path, changes: dict, *hosts: int, **fields: object) -> TrainingData:
    config = default_config()
    config.data.update(dataset="videos", data_dir=str(data_dir), clip_length=T, clip_stride=8)
    config.data.update(frame_size=prepared_videos.SIZE, crop_size=16, crops=2, max_actions=4)
    config.model.update(trunk_context="video", pyramid_inputs=("Mixed_4f",))
    config.data.feature_cache = "features"
    config.train.batch_size = 2
    config.update_from_flattened_dict(changes | fields)
    return TrainingData(config, *hosts)


def seen(clip: ClipView, slices: int) -> np.ndarray:
    """Features that tell the video, the time and the view that a slice shows."""
    step = (clip.stop - clip.start) / slices
    times = clip.start + (np.arange(slices) + 0.5) * step
    return np.stack(np.broadcast_arrays(clip.video, times, clip.y, clip.x, clip.flip), axis=1)


def clips(data: TrainingData, epochs: int = 6) -> list[dict[str, np.ndarray]]:
    batches = itertools.islice(data.batches(features=seen), epochs * data.steps_per_epoch)
    return [{name: x[i] for name, x in batch.items()} for batch in batches for i in range(2)]


def test_the_actions_of_a_clip_are_where_its_features_show_them(data_dir):
    data, factors = training_data(data_dir, {"data.speed": 0.5}), set()
    for clip in clips(data):
        videos, times = clip["features"].T[:2]
        video = data.videos[int(videos[0])]
        assert (videos == videos[0]).all()
        step = times[1] - times[0]
        start, factor = times[0] - step / 2, step / UNIT
        factors.add(round(factor, 3))
        assert clip["num_frames"] == min(T, np.ceil((video.num_frames - start) / factor - 1e-6))
        count = np.count_nonzero(clip["labels"])
        assert count
        shown = clip["segments"][:count] * factor + start  # in frames of the video
        limits = start + factor, start + T * factor
        for (first, last), label in zip(shown.tolist(), clip["labels"].tolist(), strict=False):
            near = np.abs(video.segments.clip(*limits) - (first, last)).max(axis=1) < 1e-3
            assert label in video.labels[near]
        assert clip["start_target"][round(float(clip["segments"][0, 0]))]
    assert min(factors) < 0.8
    assert max(factors) > 1.2


def test_only_what_is_far_from_actions_comes_from_another_videos_background(data_dir):
    data = training_data(data_dir, {"data.paste": 1.0})
    assert MARGIN * UNIT < 10
    pasted = 0
    for clip in clips(data):
        own = clip["features"][:, 0]
        segments = clip["segments"][np.flatnonzero(clip["labels"])].astype(float)
        kept = ~is_background(segments, T // UNIT, UNIT)
        assert len(set(own[kept].tolist())) == 1
        other = own != own[kept][0]
        assert not (other & kept).any()
        before_end = np.arange(T // UNIT) * UNIT < clip["num_frames"]
        assert (other == (~kept & before_end)).all()
        assert len(set(map(tuple, clip["features"][:, 2:].tolist()))) == 1  # one view
        for video, time, *_ in clip["features"][other].tolist():
            shown = data.videos[int(video)]
            first = int(time) // UNIT
            assert is_background(shown.segments, shown.num_frames // UNIT, UNIT)[first]
        pasted += other.any()
    assert pasted


def test_backgrounds_are_replaced_as_often_as_asked(data_dir):
    shares = []
    for probability in (0.0, 0.5, 1.0):
        found = clips(training_data(data_dir, {"data.paste": probability}))
        mixed = [len(set(clip["features"][:, 0].tolist())) > 1 for clip in found]
        shares.append(np.mean(mixed))
    assert shares[0] == 0
    assert shares[2] > 0.2
    assert shares[1] == pytest.approx(shares[2] / 2, abs=0.1)


def test_balanced_clips_show_the_rarest_class_as_often_as_the_other(data_dir):
    shares = []
    for balanced in (False, True):
        data = training_data(data_dir, {"data.balanced": balanced})
        found = clips(data, epochs=20)
        assert len(found) == 20 * 2 * data.steps_per_epoch
        kinds = [tuple(np.unique(clip["labels"][clip["labels"] > 0])) for clip in found]
        shares.append([np.mean([label in kind for kind in kinds]) for label in (1, 2)])
    rare = int(np.argmin(shares[0]))
    assert shares[1][rare] > shares[0][rare]
    assert abs(np.diff(shares[1])) < abs(np.diff(shares[0]))


def test_a_clip_that_comes_twice_in_an_epoch_is_changed_twice(data_dir):
    data = training_data(data_dir, {"data.balanced": True, "data.speed": 0.5})
    rows = np.concatenate([data._epoch(epoch) for epoch in range(10)])
    numbers, count = rows[:, 1], data.num_clips
    assert (numbers >= count).any()
    for epoch, number in rows[numbers >= count, :2].tolist():
        mine = rows[(rows[:, 0] == epoch) & (rows[:, 1] % count == number % count)]
        if len(set(map(tuple, mine[:, 2:].tolist()))) > 1:
            return
    pytest.fail("every repetition equals its first")


def equal(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    assert list(one) == list(other)
    for name, value in one.items():
        np.testing.assert_array_equal(value, other[name], err_msg=name)


def test_a_batch_is_the_same_wherever_training_starts(data_dir):
    data = training_data(data_dir, ALL)
    steps = data.steps_per_epoch
    reached = list(itertools.islice(data.batches(features=seen), 2 * steps + 2))
    for start in (1, steps - 1, steps, 2 * steps + 1):
        again = training_data(data_dir, ALL).batches(start, seen)
        for expected in reached[start:]:
            equal(next(again), expected)


def test_the_parts_of_all_hosts_are_the_batch_of_one_host(data_dir):
    size = {"train.batch_size": 6}
    whole = training_data(data_dir, ALL | size)
    shares = [training_data(data_dir, ALL | size, i, 3).batches(1, seen) for i in range(3)]
    for expected in itertools.islice(whole.batches(1, seen), 2 * whole.steps_per_epoch):
        parts = [next(share) for share in shares]
        together = {name: np.concatenate([part[name] for part in parts]) for name in expected}
        equal(together, expected)


def given_data(given_dir: Path, changes: dict) -> TrainingData:
    fields = {"data.stream": "features", "data.frame_size": 1, "data.crop_size": 1}
    fields |= {"data.fps": 0.0, "data.flip": 0.0, "data.crops": 1, "data.feature_cache": ""}
    fields |= {"model.trunk_context": "clip", "model.pyramid_inputs": ("Input",)}
    return training_data(given_dir, fields | changes)


def test_given_features_are_read_alike_with_and_without_tensorflow(given_dir):
    data = given_data(given_dir, {})
    batches = zip(data.batches(), data.batches(features=StoredRows(data.videos)), strict=False)
    for frames, rows in itertools.islice(batches, 5):
        assert frames["frames"].shape[1:4] == (T, 1, 1)
        np.testing.assert_array_equal(frames["frames"], rows["features"])


def test_given_features_are_resampled_to_the_clips_rows(given_dir):
    data = given_data(given_dir, {})
    read = StoredRows(data.videos)
    rows = read(ClipView(0, 40, 104, 0, 0, 0), 64).astype(np.float32)
    twice_as_fast = read(ClipView(0, 40, 104, 0, 0, 0), 32)
    assert twice_as_fast.dtype == np.float16
    np.testing.assert_allclose(twice_as_fast, (rows[::2] + rows[1::2]) / 2, atol=2e-3)


def test_given_features_are_changed_as_cached_ones_are(given_dir):
    data = given_data(given_dir, ALL)
    plain = next(given_data(given_dir, {}).batches())
    batch = next(data.batches())
    assert {name: (x.dtype, x.shape) for name, x in batch.items()} == {
        name: (x.dtype, x.shape) for name, x in plain.items()
    }
    again = next(data.batches(features=StoredRows(data.videos)))
    np.testing.assert_array_equal(again.pop("features"), batch["frames"])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"data.speed": -0.1}, "config.data.speed=-0.1: must be from 0 to 3"),
        ({"data.paste": 1.5}, "config.data.paste=1.5: must be a probability"),
        ({"loss.label_smoothing": 1.0}, "config.loss.label_smoothing=1.0: must be at least 0 and"),
        ({"data.speed": 0.5}, "config.data.speed=0.5: needs config.data.feature_cache or "),
        ({"data.paste": 0.5}, "config.data.paste=0.5: needs config.data.feature_cache or "),
        (
            {"data.speed": 0.5, "data.one_clip": True, "data.feature_cache": "features"},
            "config.data.speed=0.5: must be 0 with config.data.one_clip",
        ),
    ],
)
def test_what_clips_cannot_be_changed_by_is_refused(fields, message):
    config = default_config()
    config.update_from_flattened_dict(fields)
    with pytest.raises(UserError, match=message):
        check(config)


def test_clips_of_frames_may_be_balanced():
    config = default_config()
    config.data.balanced = True
    check(config)
