"""The synthetic videos are told apart by motion alone, and are the same on every machine."""

import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import pytest

from afsd_jax import activitynet_json
from afsd_jax.data import synthesis, video
from afsd_jax.errors import UserError

TINY = synthesis.Settings(
    train_videos=2, test_videos=1, height=48, width=64, min_duration_s=20, max_duration_s=22
)
STILL = dataclasses.replace(TINY, clutter=0, noise=0.0, jitter=0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("synthetic")
    synthesis.synthesize(path, TINY, workers=2)
    return path


def digests(folder: Path) -> dict[str, str]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in paths
    }


def test_there_are_six_classes_each_with_its_time_reversal():
    pairs = list(synthesis.CLASSES.values())
    assert len(set(pairs)) == len(pairs) >= 6
    assert all((axis, -direction) in pairs for axis, direction in pairs)


@pytest.mark.parametrize("label", synthesis.CLASSES)
def test_a_class_played_backwards_shows_the_frames_of_its_pair(label):
    axis, direction = synthesis.CLASSES[label]
    pair = next(k for k, v in synthesis.CLASSES.items() if v == (axis, -direction))
    count, step, start = 60, 1 / 64, 0.5

    def render(start: float, direction: int) -> np.ndarray:
        scene = synthesis.Scene(np.random.default_rng(5), STILL)
        travels = {other: np.zeros(count) for other in synthesis.AXES}
        travels[axis] = start + direction * step * np.arange(count)
        return np.stack(list(scene.render(np.random.default_rng(6), travels, count)))

    frames = render(start, direction)
    other = synthesis.CLASSES[pair][1]
    backwards = render(start + direction * step * (count - 1), other)
    np.testing.assert_array_equal(frames[::-1], backwards)
    assert np.abs(np.diff(frames.astype(int), axis=0)).max() > 20, "nothing moves"
    forwards = render(start, other)
    assert np.abs(frames.astype(int) - forwards).mean() > 1, "the pair moves alike"


@pytest.mark.parametrize("axis", synthesis.AXES)
@pytest.mark.parametrize("seed", range(5))
def test_actors_go_one_way_in_actions_of_the_axis_and_come_back_elsewhere(axis, seed):
    rng = np.random.default_rng(seed)
    actions = synthesis.script(rng, 60, (1.5, 5.0))
    steps = np.diff(synthesis.travel(rng, axis, 60 * TINY.fps, actions, TINY)) * TINY.fps
    elsewhere = np.ones(len(steps), bool)
    for action in actions:
        own, direction = synthesis.CLASSES[action.label]
        if own == axis:
            span = slice(round(action.start_s * TINY.fps), round(action.end_s * TINY.fps) - 1)
            speed = direction * steps[span]
            assert synthesis.SPEED[0] <= speed.min()
            assert speed.max() <= synthesis.SPEED[1] + 1e-9
            assert np.ptp(speed) < 1e-9, "evenly"
            elsewhere[span.start - 1 : span.stop + 1] = False
    # At rest, or never long in one direction.
    edges = np.flatnonzero(np.diff(np.sign(np.where(elsewhere, steps, 0).round(9))))
    runs = np.split(np.where(elsewhere, steps, 0).round(9), edges + 1)
    moving = [len(run) for run in runs if run[0]]
    assert max(moving, default=0) <= 2 * max(synthesis.SWING_S) * TINY.fps


def test_actors_come_in_again_where_they_left():
    travels = {axis: np.linspace(0, 20, 4001) for axis in synthesis.AXES}
    radius, picture = 0.2, (1.5, 1.0)
    stage = synthesis.places(travels, radius, picture)
    assert stage.shape == (4001, 2, 2)
    for coordinate, size in enumerate(picture):
        values = stage[..., coordinate]
        assert values.min() >= -radius
        assert values.max() <= size + radius
        # Everywhere alike, so that a place says nothing.
        counts, _ = np.histogram(values, 10, (-radius, size + radius))
        assert counts.max() < 1.2 * counts.min()


@pytest.mark.parametrize("seed", range(5))
def test_actions_follow_each_other_with_background_between(seed):
    actions = synthesis.script(np.random.default_rng(seed), 60, (1.5, 5.0))
    assert len(actions) >= 4
    edges = [0.0, *(t for action in actions for t in (action.start_s, action.end_s)), 60.0]
    assert np.all(np.diff(edges)[::2] >= 1.48)
    assert len({action.label for action in actions[:6]}) == len(actions[:6])


def test_the_files_are_real_videos_with_their_ground_truth(folder):
    truth = activitynet_json.read_ground_truth(folder / "ground_truth.json")
    paths = sorted((folder / "videos").rglob("*.mp4"))
    assert sorted(path.stem for path in paths) == sorted(truth)
    for path in paths:
        entry = truth[path.stem]
        assert path.parent.name == entry.subset
        decoded = video.read_video(path, fps=10)
        assert decoded.duration_s == pytest.approx(entry.duration_s)
        assert 20 <= decoded.duration_s <= 22
        assert len(decoded.frames) == int(decoded.duration_s * 10)
        assert len(entry.annotations) >= 1
        assert all(0 < a.start_s < a.end_s < entry.duration_s for a in entry.annotations)
        assert np.abs(np.diff(decoded.frames.astype(int), axis=0)).max() > 40


def test_a_seed_gives_the_same_files_again_and_another_seed_others(folder, tmp_path):
    synthesis.synthesize(tmp_path / "again", TINY, workers=1)
    assert digests(tmp_path / "again") == digests(folder)
    other = dataclasses.replace(TINY, seed=1, train_videos=1, test_videos=0)
    synthesis.synthesize(tmp_path / "other", other, workers=1)
    assert not set(digests(tmp_path / "other").values()) & set(digests(folder).values())


def test_what_is_there_is_kept_and_other_settings_are_refused(folder):
    before = digests(folder)
    assert synthesis.synthesize(folder, TINY) == folder / "ground_truth.json"
    with pytest.raises(UserError, match="made with other settings"):
        synthesis.synthesize(folder, dataclasses.replace(TINY, noise=1.0))
    assert digests(folder) == before


def places_and_labels(seeds: range) -> tuple[np.ndarray, np.ndarray]:
    """Where an actor is, [N, 4] on circles, and the class there, 0 for background."""
    around, labels = [], []
    for seed in seeds:
        rng = np.random.default_rng([1, seed])
        actions = synthesis.script(rng, 40, (1.5, 5.0))
        travels = {axis: synthesis.travel(rng, axis, 800, actions, TINY) for axis in synthesis.AXES}
        first = synthesis.places(travels, 0.2, (1.3, 1.0))[:, 0]
        angle = 2 * np.pi * (first + 0.2) / (1.7, 1.4)
        label = np.zeros(800, int)
        for action in actions:
            start, end = round(action.start_s * TINY.fps), round(action.end_s * TINY.fps)
            label[start:end] = 1 + list(synthesis.CLASSES).index(action.label)
        around.append(np.concatenate([np.cos(angle), np.sin(angle)], axis=1)[::16])
        labels.append(label[::16])
    return np.concatenate(around), np.concatenate(labels)


def test_what_a_single_frame_shows_tells_next_to_nothing():
    """Its 60 nearest neighbours in other videos guess hardly better than chance."""
    known, known_labels = places_and_labels(range(80))
    places, labels = places_and_labels(range(1000, 1020))
    distances = ((places[:, None] - known) ** 2).sum(-1)
    near = known_labels[np.argpartition(distances, 60)[:, :60]]
    share = (near > 0).mean(1)
    action, background = share[labels > 0], share[labels == 0]
    # The probability that an action's frame looks more like an action than a background's does.
    order = np.mean(np.sign(action[:, None] - background)) / 2 + 0.5
    assert 0.44 < order < 0.58
    votes = np.stack([(near == label).sum(1) for label in range(1, 7)], 1)
    right = (votes.argmax(1) + 1 == labels)[labels > 0].mean()
    assert right < 0.25, "one in six is chance"
